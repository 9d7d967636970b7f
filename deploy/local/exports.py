"""What a shell needs to use the pipeline: addresses, the demo token, an analyst's way into ClickHouse."""

import shlex
from collections.abc import Mapping

from deploy.local.demo_token import read_token
from deploy.local.options import Layout
from deploy.local.state import State


def exports(state: State, layout: Layout) -> dict[str, str]:
    """The variables by name."""
    return {
        "EVENTS_API_URL": state.addresses.api,
        "EVENTS_TOKEN": read_token(layout.token) or "",
        "KAFKA_BOOTSTRAP_SERVERS": state.addresses.kafka,
        "CLICKHOUSE_URL": state.clickhouse_url,
        # So that `events team`, `events user` and `events token`, said in the same shell, find this pipeline's
        # accounts, and their links its console.
        "CONSOLE_URL": state.addresses.console,
        "EVENTS_DATA_DIR": str(layout.data_dir),
    }


def script(variables: Mapping[str, str]) -> str:
    """Lines for a POSIX shell's eval."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
