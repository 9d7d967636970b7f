"""Options that several sub-commands share, and how they end."""

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deploy.local.errors import ExitCode, LaunchError, missing_packages

DataDir = Annotated[
    Path,
    typer.Option(
        envvar="EVENTS_DATA_DIR",
        help="folder of all data",
        file_okay=False,
        resolve_path=True,
    ),
]
DEFAULT_DATA_DIR = Path(".events")


def need_packages() -> None:
    """End with what to install where the extra `local` is not."""
    if importlib.util.find_spec("psutil") is None:
        end(missing_packages(["psutil"]))


def end(error: LaunchError) -> NoReturn:
    """End the command with an error's message and code."""
    end_with(error.code, error.message)


def end_with(code: int, message: str) -> NoReturn:
    """End the command with a message and a code."""
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(code)


def need_terminal(instead: str) -> None:
    """End the command with what to say instead, where nobody is there to be asked."""
    if not sys.stdin.isatty():
        end_with(ExitCode.USAGE, f"Nobody is there to be asked: {instead}.")


def confirmed(question: str, instead: str) -> bool:
    """Ask on the terminal; where nobody is there, end the command with what to say instead."""
    need_terminal(instead)
    return typer.confirm(question, err=True)


def not_running(data_dir: Path, more: str = "") -> LaunchError:
    """Nothing runs from this folder."""
    return LaunchError(
        ExitCode.NOT_RUNNING,
        f"Events API does not run from {data_dir}{more}.\n"
        "`events up` starts it; if it runs from another folder, name that with --data-dir or EVENTS_DATA_DIR.",
    )
