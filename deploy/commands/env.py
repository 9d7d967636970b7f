"""`events env`: what a shell needs to use the pipeline on this machine."""

import typer

from deploy.commands.options import DEFAULT_DATA_DIR, DataDir, end, need_packages, not_running

HELP = """Example: eval "$(events env)"

Print shell exports: EVENTS_API_URL, EVENTS_TOKEN (of the demo team), KAFKA_BOOTSTRAP_SERVERS, CLICKHOUSE_URL (with an
analyst's user and password), CONSOLE_URL and EVENTS_DATA_DIR.

Exit codes: 0 printed, 3 it does not run.
"""


def env(*, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print shell exports."""
    need_packages()
    from deploy.local.exports import exports, script  # noqa: PLC0415 - `events --help` starts fast and needs no extra
    from deploy.local.options import Layout  # noqa: PLC0415 - as above
    from deploy.local.state import read_state  # noqa: PLC0415 - as above

    layout = Layout(data_dir)
    state = read_state(layout)
    if state is None or not state.is_running():
        end(not_running(data_dir))
    if not state.ready:
        end(not_running(data_dir, " yet: it is starting"))
    typer.echo(script(exports(state, layout)))
