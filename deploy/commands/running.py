"""The pipeline that a command looks at: what runs on this machine, or what the environment names; and how quietly."""

import importlib.util
import logging
import os
from pathlib import Path

import structlog
from pydantic import SecretStr

from deploy.audit import AuditSettings
from schemas.settings import load


def silence_libraries() -> None:
    """Standard output is for a command's result; what goes wrong is said once, by the command."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)


def warehouse_settings(data_dir: Path) -> AuditSettings:
    """The ways to Kafka and ClickHouse of what runs from the data folder, unless the environment names another Kafka.

    Raises:
        SettingsError: naming what is wrong in the environment.
    """
    settings = load(AuditSettings, "AUDIT_")
    if importlib.util.find_spec("psutil") is None:
        return settings
    from deploy.local.clickhouse.users import Role, ensure_users  # noqa: PLC0415 - needs the extra `local`
    from deploy.local.options import Layout  # noqa: PLC0415 - as above
    from deploy.local.plan import with_credentials  # noqa: PLC0415 - as above
    from deploy.local.state import read_state  # noqa: PLC0415 - as above

    state = read_state(Layout(data_dir))
    if state is None or not state.is_running():
        return settings
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS", state.addresses.kafka) != state.addresses.kafka:
        return settings
    url = state.clickhouse_url
    if "clickhouse" in state.addresses.embedded:
        # Not the analyst's, whose queries have limits.
        password = ensure_users(state.layout.clickhouse_users).password(Role.SINK)
        url = with_credentials(state.addresses.clickhouse, Role.SINK.value, password)
    ours = {"kafka_bootstrap_servers": state.addresses.kafka, "clickhouse_url": SecretStr(url)}
    return settings.model_copy(update=ours)
