"""What `events team`, `events user` and `events token` share: the way to the database, their exit codes, their tables.

Data goes to standard output, everything said about it to standard error.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, NoReturn, TypeVar

import typer

from ingress.accounts.database import Database, migrate
from ingress.accounts.errors import AlreadyExists, LastOwner, NotFound
from ingress.accounts.settings import AccountsSettings
from schemas.ddl import is_team_slug
from schemas.errors import Unavailable
from schemas.settings import SettingsError, load

EXIT_CODES = """Exit codes: 0 done, 2 wrong usage or settings, 3 exists already, 4 not found, 5 the accounts database
does not answer, 6 nobody would own the team.
"""

T = TypeVar("T")
Row = dict[str, str | int | None]


class Exit(IntEnum):
    """How these commands end, beside 0."""

    USAGE = 2
    EXISTS = 3
    NOT_FOUND = 4
    UNAVAILABLE = 5
    LAST_OWNER = 6
    NOT_CONFIRMED = 7


def _slug(slug: str) -> str:
    if not is_team_slug(slug):
        raise typer.BadParameter(f"{slug!r} must be up to 63 of a-z, 0-9 and _, beginning with a letter")
    return slug


Slug = Annotated[str, typer.Argument(metavar="TEAM", callback=_slug, help="the team's name")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def help_text(example: str, text: str) -> str:
    """A command's help: an example first, then what it does, and how it ends."""
    return f"Example: events {example}\n\n{text}\n\n{EXIT_CODES}"


def run(act: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with the accounts database, which is made or migrated first where it has to be.

    What is wrong ends the command with its exit code; of what exists already, the caller decides.

    Raises:
        AlreadyExists: as the act does.
    """
    try:
        url = load(AccountsSettings, "ACCOUNTS_").accounts_url.get_secret_value()
        return asyncio.run(_migrate_and(url, act))
    except (SettingsError, ValueError) as error:
        end(Exit.USAGE, error)
    except NotFound as error:
        end(Exit.NOT_FOUND, error)
    except Unavailable as error:
        end(Exit.UNAVAILABLE, error)
    except LastOwner as error:
        end(Exit.LAST_OWNER, error)


def run_once(act: Callable[[Database], Awaitable[T]]) -> T:
    """The same; what exists already ends the command as well."""
    try:
        return run(act)
    except AlreadyExists as error:
        end(Exit.EXISTS, error)


async def _migrate_and(url: str, act: Callable[[Database], Awaitable[T]]) -> T:
    await migrate(url)
    async with Database(url) as database:
        return await act(database)


def now() -> datetime:
    """The time of what is done."""
    return datetime.now(UTC)


def text(time: datetime | None) -> str | None:
    """A time as it is printed."""
    return time.isoformat(timespec="seconds") if time else None


def print_one(row: Row, *, as_json: bool) -> None:
    """One row, as an object or under its columns' names."""
    if as_json:
        typer.echo(json.dumps(row, ensure_ascii=False))
    else:
        _print_columns([row])


def print_all(rows: Sequence[Row], *, as_json: bool) -> None:
    """Some rows, as an array or under their columns' names; no row prints nothing."""
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
    elif rows:
        _print_columns(rows)


def say(message: object) -> None:
    """Tell whoever reads along."""
    typer.echo(message, err=True)


def end(code: int, error: object) -> NoReturn:
    """End the command with a message and an exit code."""
    say(error)
    raise typer.Exit(code)


def _print_columns(rows: Sequence[Row]) -> None:
    """Aligned columns under their names; absent values are a dash."""
    table = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value or "–")
