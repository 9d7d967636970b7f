"""`events up`: everything on this machine, in the foreground or detached."""

from typing import Annotated

import typer

from deploy.commands.options import DEFAULT_DATA_DIR, DataDir, need_packages

HELP = """Example: events up --detach

Start Kafka, ClickHouse, ingress, stream, sink and console on this machine, send one event through, and keep all of it
alive.

Ctrl-C, or `events down`, stops it; the next start finds all data again.  Options hold for this start only.
Servers that KAFKA_BOOTSTRAP_SERVERS, CLICKHOUSE_URL or ACCOUNTS_URL name are used as they are, and not started.

Exit codes: 0 stopped as asked (or ready, with --detach), 2 wrong usage, 6 runs already, 7 a port is taken,
8 packages, disk or data folder do not allow it, 9 something did not start, 130 interrupted.
"""


def up(  # noqa: PLR0913 - one per option
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="return when all of it is ready")] = False,
    api_port: Annotated[int, typer.Option(min=1, max=65_535, help="of the public API")] = 8080,
    console_port: Annotated[int, typer.Option(min=1, max=65_535, help="of the console's pages")] = 8081,
    clickhouse_port: Annotated[int, typer.Option(min=1, max=65_535, help="of ClickHouse's HTTP interface")] = 8123,
    kafka_port: Annotated[int, typer.Option(min=1, max=65_535, help="of Kafka")] = 9092,
    kafka_controller_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="where Kafka talks to itself", show_default="any free one"),
    ] = None,
    metrics_port: Annotated[
        int, typer.Option(min=1, max=65_531, help="ingress, stream, sink and console take the four after it")
    ] = 9100,
    partitions: Annotated[int, typer.Option(min=1, max=1000, help="of topics that do not exist yet")] = 4,
) -> None:
    """Start everything."""
    need_packages()
    from deploy.local import detached, foreground  # noqa: PLC0415 - `events --help` starts fast and needs no extra
    from deploy.local.options import Options  # noqa: PLC0415 - as above

    options = Options(
        data_dir=str(data_dir),
        api_port=api_port,
        console_port=console_port,
        clickhouse_port=clickhouse_port,
        kafka_port=kafka_port,
        kafka_controller_port=kafka_controller_port,
        metrics_port=metrics_port,
        partitions=partitions,
    )
    raise typer.Exit((detached if detach else foreground).run(options))
