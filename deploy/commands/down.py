"""`events down`: stop what `events up` started."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import DEFAULT_DATA_DIR, DataDir, confirmed, end, end_with, need_packages
from deploy.local.errors import ExitCode, LaunchError

HELP = """Example: events down

Stop everything that `events up` started from this data folder, wherever it runs.  Data stays, unless --delete-data.

Exit codes: 0 nothing runs any more, 1 it could not be stopped, 2 wrong usage or not confirmed.
"""


def down(
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    delete_data: Annotated[bool, typer.Option("--delete-data", help="and delete all events, teams and tokens")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Stop everything."""
    need_packages()
    from deploy.local.options import Layout  # noqa: PLC0415 - `events --help` starts fast and needs no extra
    from deploy.local.shutdown import stop_running  # noqa: PLC0415 - as above

    if delete_data and not yes:
        question = f"Delete all events, teams and tokens in {data_dir}?"
        if not confirmed(question, "say --yes to delete events for good"):
            end_with(ExitCode.USAGE, "Nothing was stopped or deleted.")
    try:
        was_running = stop_running(Layout(data_dir))
    except LaunchError as error:
        end(error)
    typer.echo("stopped" if was_running else f"nothing runs from {data_dir}", err=True)
    if delete_data:
        _delete(Layout(data_dir).own_files())
        typer.echo(f"deleted the data in {data_dir}", err=True)


def _delete(paths: list[Path]) -> None:
    """Delete files and folders of ours, and the data folder where nothing else is in it."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    folder = paths[0].parent
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
