"""`events team retention`: for how long the warehouse keeps a team's rows."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer

from deploy.commands.accounts import Exit, Json, Row, Slug, end, now, print_one, run, say, text
from deploy.commands.options import DEFAULT_DATA_DIR, DataDir, confirmed
from deploy.commands.running import silence_libraries, warehouse_settings
from deploy.errors import NotConfirmed
from deploy.retention import ask, keep
from ingress.accounts.access_log import AccessLog, Action
from ingress.accounts.actors import command_line
from ingress.accounts.database import Database
from ingress.accounts.store import Accounts
from schemas.errors import Unavailable
from schemas.retention import FOR_EVER, MAX_DAYS, MIN_DAYS, Setting
from schemas.settings import SettingsError

HELP = """Example: events team retention acme --days 90

Show for how long the warehouse keeps the team's rows, after changing it with --days or --forever.  Rows that were
received longer ago are deleted for good: events, typed rows, discards and dead letters.  Where there are such rows, it
tells how many, and asks.

What runs from --data-dir is meant, unless KAFKA_BOOTSTRAP_SERVERS names another Kafka; then CLICKHOUSE_URL, with the
sink's user or one who may do the same.

Exit codes: 0 done, 2 wrong usage or settings, 4 not found, 5 the accounts database or ClickHouse does not answer,
7 not confirmed, nothing was changed.
"""


def retention(  # noqa: PLR0913 - one per option
    slug: Slug,
    *,
    days: Annotated[
        int | None, typer.Option(min=MIN_DAYS, max=MAX_DAYS, help="delete rows that were received before")
    ] = None,
    forever: Annotated[bool, typer.Option("--forever", help="delete nothing any more")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show or change a team's retention."""
    if days is not None and forever:
        raise typer.BadParameter("say --days or --forever, not both")
    run(lambda database: Accounts(database).team(slug))
    silence_libraries()
    wanted = FOR_EVER if forever else days

    def confirm(past: Mapping[str, int]) -> bool:
        return yes or _confirmed(slug, past)

    try:
        settings = warehouse_settings(data_dir)
        setting = asyncio.run(ask(settings, slug) if wanted is None else keep(settings, slug, wanted, confirm))
    except SettingsError as error:
        end(Exit.USAGE, error)
    except NotConfirmed:
        end(Exit.NOT_CONFIRMED, "Nothing was changed.")
    except Unavailable as error:
        end(Exit.UNAVAILABLE, f"ClickHouse: {error}\n`events up` starts it; or set CLICKHOUSE_URL.")
    if wanted is not None:
        _note(slug, wanted)
    print_one(_document(slug, setting) if as_json else _row(slug, setting), as_json=as_json)


def _confirmed(team: str, past: Mapping[str, int]) -> bool:
    told = ", ".join(f"{count:,} of {table}" for table, count in past.items())
    say(f"{sum(past.values()):,} rows of {team} are older and would be deleted for good: {told}.")
    return confirmed("Delete them?", "say --yes to delete them")


def _note(team: str, days: int) -> None:
    """The change is the warehouse's own; who made it is told where all changes are.

    What the log says holds, not what held in the warehouse: a run that changed that may have ended before its note.
    """
    detail = _in_words(days)

    async def note(database: Database) -> None:
        log = AccessLog(database)
        last = await log.last(team, Action.RETENTION_CHANGED)
        if detail != (last.detail if last else _in_words(FOR_EVER)):
            await log.add(Action.RETENTION_CHANGED, now(), command_line(), team=team, subject=team, detail=detail)

    run(note)
    if days != FOR_EVER:
        say("ClickHouse deletes what is older, in the background; until then queries still find it.")


def _document(team: str, setting: Setting | None) -> Row:
    days = setting.days if setting else FOR_EVER
    return {"team": team, "days": days or None, "set_at": text(setting.set_at) if setting else None}


def _row(team: str, setting: Setting | None) -> Row:
    return {
        "team": team,
        "kept": _in_words(setting.days if setting else FOR_EVER),
        "set_at": text(setting.set_at) if setting else None,
    }


def _in_words(days: int) -> str:
    return "for ever" if days == FOR_EVER else f"{days} days"
