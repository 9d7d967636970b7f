"""`events where`: how far an event has come."""

import asyncio
import json
import os
from enum import IntEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from deploy.commands.options import end_with
from deploy.text import visible

HELP = """Example: events where 01936f0e-8a1c-7c3e-9b5f-2d1e4a6b8c0d

Show an event's receipt: when it was accepted, where its records are in Kafka, why it became a dead letter if it did,
and when it was stored.  Asks the API at EVENTS_API_URL with EVENTS_TOKEN, a token of the event's team; `events env`
exports both.

Exit codes: 0 stored, 1 a dead letter, 2 wrong usage or not allowed, 3 on its way, 4 there is no such event, 5 the API,
Kafka or ClickHouse does not answer, 6 not known, since not all could be looked through.
"""
ANSWER_SECONDS = 30
_REFUSED = frozenset({400, 401, 403})
_STAGES = ("accepted", "normalized", "dead_letter", "stored")


class _Exit(IntEnum):
    DEAD_LETTER = 1
    USAGE = 2
    ON_ITS_WAY = 3
    NOT_FOUND = 4
    UNAVAILABLE = 5
    UNKNOWN = 6


_EXITS = {
    "stored": 0,
    "dead_letter": _Exit.DEAD_LETTER,
    "accepted": _Exit.ON_ITS_WAY,
    "normalized": _Exit.ON_ITS_WAY,
    "unknown": _Exit.UNKNOWN,
}


def where(
    event_id: Annotated[str | None, typer.Argument(metavar="EVENT_ID", help="as the answer to its POST has it")] = None,
    *,
    sender_id: Annotated[str | None, typer.Option(help="instead: the `id` that the sender gave the event")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, as the API answers it")] = False,
) -> None:
    """Tell where an event is."""
    if (event_id is None) == (sender_id is None):
        raise typer.BadParameter("say the event's id, or --sender-id with the sender's own")
    api_url = os.environ.get("EVENTS_API_URL", "http://127.0.0.1:8080").rstrip("/")
    token = os.environ.get("EVENTS_TOKEN", "")
    if not token:
        end_with(_Exit.USAGE, 'There is no EVENTS_TOKEN; for the demo team\'s: eval "$(events env)"')
    query = f"?sender_id={quote(sender_id, safe='')}" if sender_id is not None else f"/{quote(event_id or '', safe='')}"
    status, receipt = asyncio.run(_ask(f"{api_url}/v1/events{query}", token))
    if status != 200:
        end_with(_exit_code(status, receipt), str(receipt.get("message", f"{api_url} answered {status}.")))
    if as_json:
        typer.echo(json.dumps(receipt, indent=2))
    else:
        _print(receipt)
    raise typer.Exit(_EXITS[receipt["state"]])


async def _ask(url: str, token: str) -> tuple[int, dict[str, Any]]:
    import aiohttp  # noqa: PLC0415 - `events --help` starts fast

    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers={"X-Auth-Token": token}, allow_redirects=False) as response,
        ):
            answer = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        end_with(_Exit.UNAVAILABLE, f"The API does not answer: {error or repr(error)}.  `events up` starts it.")
    return response.status, answer if isinstance(answer, dict) else {}


def _exit_code(status: int, refusal: dict[str, Any]) -> _Exit:
    if refusal.get("code") == "event_not_found":
        return _Exit.NOT_FOUND
    return _Exit.USAGE if status in _REFUSED else _Exit.UNAVAILABLE


def _print(receipt: dict[str, Any]) -> None:
    """One line per stage: its time, its place, and what else is known."""
    typer.echo(f"{receipt['id']}  {receipt['state']}")
    for stage in _STAGES:
        for part in receipt["sendings"] if stage == "accepted" else filter(None, [receipt[stage]]):
            typer.echo(f"  {stage:<12}{_line(part)}")
    if receipt["gap"]:
        typer.echo(f"  not complete: {receipt['gap']}")


def _line(stage: dict[str, Any]) -> str:
    time = next((stage[name] for name in stage if name.endswith("_at")), None) or "–"
    place = stage.get("table") or f"{stage['topic']} partition {stage['partition']}"
    if stage.get("offset") is not None:
        place += f" offset {stage['offset']}"
    said = [stage[name] for name in ("token_id", "reason", "field", "detail") if stage.get(name)]
    line = "  ".join([f"{time:<27}", place, *said])
    # A detail may repeat what a sender wrote, which is not to move anybody's cursor.
    return visible(line)
