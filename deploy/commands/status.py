"""`events status`: what runs, where, and how well."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import DEFAULT_DATA_DIR, DataDir, end, need_packages, not_running

if TYPE_CHECKING:
    from deploy.local.state import ProcessStatus, State

HELP = """Example: events status --json

Show each process with its state, restarts, memory and address.

Exit codes: 0 it runs, 3 it does not.
"""


def status(
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show what runs."""
    need_packages()
    from deploy.local.options import Layout  # noqa: PLC0415 - `events --help` starts fast and needs no extra
    from deploy.local.state import read_state  # noqa: PLC0415 - as above

    state = read_state(Layout(data_dir))
    running = state is not None and state.is_running()
    rows = [_row(process, running=running) for process in state.processes] if state else []
    if as_json:
        typer.echo(json.dumps(_document(state, rows, running=running), indent=2))
    elif state and running:
        _print(state, rows)
    if not running:
        left = [row["name"] for row in rows if row["pid"]]
        end(not_running(data_dir, f"; its launcher was killed and left {', '.join(left)}" if left else ""))


def _row(process: "ProcessStatus", *, running: bool) -> dict[str, Any]:
    from deploy.local.state import memory_bytes  # noqa: PLC0415 - as above

    alive = process.birth.process() if process.birth else None
    return {
        "name": process.name,
        "pid": alive.pid if alive else None,
        "state": process.state if running else ("running" if alive else "stopped"),
        "restarts": process.restarts,
        "address": process.address,
        "uptime_seconds": round(time.time() - process.birth.started_at, 1) if alive and process.birth else None,
        "memory_bytes": memory_bytes(alive) if alive else None,
        "log": process.log,
    }


def _document(state: "State | None", rows: list[dict[str, Any]], *, running: bool) -> dict[str, Any]:
    if state is None:
        return {"running": False, "ready": False, "processes": [], "addresses": {}}
    addresses = state.addresses
    return {
        "running": running,
        "ready": running and state.ready,
        "data_dir": state.data_dir,
        "pid": state.supervisor.pid if running else None,
        "processes": rows,
        "addresses": {
            "api": addresses.api,
            "kafka": addresses.kafka,
            "clickhouse": addresses.clickhouse,
            "console": addresses.console,
            "metrics": addresses.metrics,
            "embedded": sorted(addresses.embedded),
        },
    }


def _print(state: "State", rows: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - needed here alone
    from rich.table import Table  # noqa: PLC0415 - needed here alone

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("process", "state", "pid", "restarts", "up", "memory", "address"):
        table.add_column(name, justify="right" if name in {"pid", "restarts", "up", "memory"} else "left")
    for row in rows:
        memory = f"{row['memory_bytes'] / 1e6:.0f} MB" if row["memory_bytes"] else "–"
        table.add_row(
            row["name"], row["state"], str(row["pid"] or "–"), str(row["restarts"]),
            _spell(row["uptime_seconds"]), memory, row["address"],
        )  # fmt: skip
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    launcher = state.supervisor.process()
    total = sum(row["memory_bytes"] or 0 for row in rows) + (launcher.memory_info().rss if launcher else 0)
    console.print(f"\n{total / 1e6:.0f} MB in all with the launcher ({state.supervisor.pid}), data in {state.data_dir}")


def _spell(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
