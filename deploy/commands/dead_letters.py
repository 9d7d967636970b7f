"""`events dead-letters`: what was refused behind the API, why, and once more."""

import asyncio
import json
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from deploy.audit import AuditSettings
from deploy.commands.dead_letter_text import bar, document, is_stored, lines_of, page, row, summary_document, table
from deploy.commands.options import DEFAULT_DATA_DIR, DataDir, end_with, need_terminal
from deploy.commands.running import silence_libraries, warehouse_settings
from deploy.commands.times import duration, milliseconds, moment
from deploy.dead_letter_log import DeadLetterLog
from deploy.dead_letters import DeadLetter, EventKey, Filters
from deploy.errors import NotConfirmed
from deploy.replay import Request, Summary
from deploy.replay import replay as carry_out
from deploy.stored import stored
from schemas.errors import ErrorCode, Unavailable
from schemas.settings import SettingsError
from sink.writer import Writer

_ENDS = "2 wrong usage or settings, 5 Kafka or ClickHouse does not answer"
_WHERE = "What runs from --data-dir is meant, unless KAFKA_BOOTSTRAP_SERVERS names another Kafka."
LIST_HELP = f"""Example: events dead-letters list --team demo --since 1h

List dead letters, oldest first: when, where, whose, and why, and whether the event is stored by now, as it is after a
replay that helped.  The place, such as 2/15, is what `show` takes.  Reads the topic of dead letters from --since on,
else from its beginning.  {_WHERE}

Exit codes: 0 done, also where there are none, {_ENDS}.
"""
SHOW_HELP = f"""Example: events dead-letters show 2/15

Show one dead letter: its headers, and its value as it was posted.  {_WHERE}

Exit codes: 0 done, 3 there is none at this place, {_ENDS}.
"""
REPLAY_HELP = f"""Example: events dead-letters replay --team demo --reason invalid_value --dry-run

Send dead letters to the raw topic once more, each with its own bytes, key, headers and event id, when what made them
dead letters is gone.  One whose event has a row by now, or was replayed already, is skipped: it does not matter how
often this runs or where it was interrupted.  Then waits for the stream, and tells how many it has refused again.
{_WHERE}

Exit codes: 0 done, 1 some were refused again, 3 not confirmed, nothing was sent, 6 sent, but the stream has not dealt
with all of them yet, {_ENDS}.
"""
T = TypeVar("T")
ANSWER_SECONDS = 10


class Exit(IntEnum):
    """How these commands end, beside 0."""

    REFUSED_AGAIN = 1
    USAGE = 2
    NOTHING_DONE = 3
    UNAVAILABLE = 5
    NOT_SETTLED = 6


def _since(text: str) -> datetime:
    """A duration back from now, or a time."""
    return datetime.now(UTC) - duration(text) if re.fullmatch(r"\d+[a-z]", text) else moment(text)


def _place(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})/(\d{1,18})", text, re.ASCII)
    if found is None:
        raise typer.BadParameter(f"{text!r} must be PARTITION/OFFSET as `events dead-letters list` prints it: 2/15")
    return int(found[1]), int(found[2])


def _reason(text: str | None) -> str | None:
    if text is not None and text not in set(ErrorCode):
        raise typer.BadParameter(f"{text!r} is no reason; docs/errors.md lists them: invalid_json, missing_header, …")
    return text


Team = Annotated[str | None, typer.Option(metavar="TEAM", help="only this team's")]
Reason = Annotated[str | None, typer.Option(callback=_reason, metavar="REASON", help="only with this reason")]
EventId = Annotated[str | None, typer.Option(metavar="ID", help="only of this event")]
Since = Annotated[
    datetime | None, typer.Option(parser=_since, metavar="1h|TIME", help="only what became a dead letter since")
]
Until = Annotated[
    datetime | None, typer.Option(parser=_since, metavar="1h|TIME", help="only what became one before; UTC by default")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="Dead letters: list, show, replay."
)


@app.command("list", help=LIST_HELP, short_help="List them.")
def list_letters(  # noqa: PLR0913 - one per option
    *,
    team: Team = None,
    reason: Reason = None,
    event_id: EventId = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="only the newest so many")] = 100,
    as_json: Json = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """List dead letters."""
    filters = Filters(team, reason, event_id, milliseconds(since), milliseconds(until))

    async def newest(settings: AuditSettings) -> tuple[list[DeadLetter], int, set[EventKey] | None]:
        async with DeadLetterLog(settings) as log:
            letters, count = await log.newest(filters, limit, _progress)
        return letters, count, await _stored(settings, letters)

    letters, count, there = _run(data_dir, newest)
    if as_json:
        typer.echo(json.dumps([row(letter) | {"stored": is_stored(letter, there)} for letter in letters], indent=2))
    else:
        typer.echo("\n".join(table(letters, there)) if letters else "no dead letters")
    if count > len(letters):
        sys.stderr.write(f"These are the newest {len(letters)} of {count}; --limit shows more.\n")


@app.command("show", help=SHOW_HELP, short_help="Show one, with its headers and value.")
def show(
    place: Annotated[str, typer.Argument(metavar="PARTITION/OFFSET", help="as `list` prints it")],
    *,
    as_json: Json = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show one dead letter."""
    partition, offset = _place(place)

    async def one(settings: AuditSettings) -> DeadLetter | None:
        async with DeadLetterLog(settings) as log:
            return await log.one(partition, offset)

    letter = _run(data_dir, one)
    if letter is None:
        end_with(
            Exit.NOTHING_DONE, f"There is no dead letter at {place}, or it has expired; `events dead-letters list`."
        )
    if as_json:
        typer.echo(json.dumps(document(letter), indent=2))
    else:
        typer.echo("\n".join(page(letter)))


@app.command("replay", help=REPLAY_HELP, short_help="Send them once more, when the cause is gone.")
def replay(  # noqa: PLR0913 - one per option
    *,
    team: Team = None,
    reason: Reason = None,
    event_id: EventId = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int | None, typer.Option(min=1, help="send this many events at most")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only tell what would be sent")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    wait_seconds: Annotated[float, typer.Option(min=0, help="wait so long for the stream")] = 30.0,
    as_json: Json = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Replay dead letters."""
    if not (dry_run or yes):
        need_terminal("say --dry-run, or --yes to send")
    filters = Filters(team, reason, event_id, milliseconds(since), milliseconds(until))
    request = Request(filters, limit, dry_run, wait_seconds)

    def confirm(found: Summary) -> bool:
        return yes or _confirmed(found)

    try:
        summary = _run(data_dir, lambda settings: carry_out(settings, request, confirm, _progress))
    except NotConfirmed:
        end_with(Exit.NOTHING_DONE, "Nothing was sent.")
    if as_json:
        typer.echo(json.dumps(summary_document(summary, dry_run=dry_run), indent=2))
    else:
        typer.echo("\n".join(lines_of(summary, dry_run=dry_run)))
    if not summary.settled:
        raise typer.Exit(Exit.NOT_SETTLED)
    raise typer.Exit(Exit.REFUSED_AGAIN if summary.refused_again else 0)


async def _stored(settings: AuditSettings, letters: Sequence[DeadLetter]) -> set[EventKey] | None:
    """Those of their events that have a row by now; None where ClickHouse does not tell: the list does without."""
    try:
        async with Writer(settings, ANSWER_SECONDS) as writer:
            return await stored(writer, settings.clickhouse_database, letters)
    except Unavailable as error:
        sys.stderr.write(f"ClickHouse does not tell which of these events are stored by now: {error}\n")
        return None


def _run(data_dir: Path, act: Callable[[AuditSettings], Coroutine[None, None, T]]) -> T:
    """Do it with the pipeline of this folder; what is wrong ends the command."""
    silence_libraries()
    try:
        return asyncio.run(act(warehouse_settings(data_dir)))
    except SettingsError as error:
        end_with(Exit.USAGE, str(error))
    except Unavailable as error:
        end_with(
            Exit.UNAVAILABLE,
            f"{error}\n`events up` starts Kafka and ClickHouse; or set KAFKA_BOOTSTRAP_SERVERS and CLICKHOUSE_URL.",
        )


def _confirmed(found: Summary) -> bool:
    sys.stderr.write("\n".join([*lines_of(found, dry_run=True), ""]))
    return typer.confirm("Send them?", err=True)


def _progress(what: str, done: int, total: int) -> None:
    """On a terminal one line that grows; elsewhere one line per partition and kind."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{bar(what, done, total)}{chr(10) if done == total else ''}")
    elif done == total:
        sys.stderr.write(f"{bar(what, done, total)}\n")
    sys.stderr.flush()
