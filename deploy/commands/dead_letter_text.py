"""Dead letters and replays, as a person and as a program read them.  Pure."""

import base64
from collections.abc import Collection, Sequence

from deploy.dead_letters import DeadLetter, EventKey
from deploy.replay import Summary
from deploy.text import aligned, time_text, visible
from schemas.topics import DETAIL, EVENT_ID, FIELD, RAW_OFFSET, RAW_PARTITION, REASON, RECEIVED_AT, REPLAYED_FROM, TEAM

_LINE_ENDS = frozenset("\n\t")
_COLUMNS = ("dead_at", "place", "team", "reason", "field", "event_id")
_STORED = {True: "yes", False: "no", None: "?"}
_HEADERS = (EVENT_ID, TEAM, REASON, FIELD, DETAIL, RECEIVED_AT, RAW_PARTITION, RAW_OFFSET, REPLAYED_FROM)
_BAR = 24

Value = dict[str, str] | None
"""Bytes in JSON: `text` where they are UTF-8, else `base64`."""


def row(letter: DeadLetter) -> dict[str, str]:
    """What a list says of a dead letter; what a header does not tell is empty."""
    told = {name: letter.text(name) for name in _HEADERS}
    return {"place": letter.place, "dead_at": time_text(letter.time_ms)} | told


def document(letter: DeadLetter) -> dict[str, object]:
    """All of a dead letter."""
    headers = [[name, decoded(value)] for name, value in letter.headers]
    return {**row(letter), "key": decoded(letter.key), "headers": headers, "value": decoded(letter.value)}


def decoded(value: bytes | None) -> Value:
    """Bytes as JSON can hold them."""
    if value is None:
        return None
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def is_stored(letter: DeadLetter, stored: Collection[EventKey] | None) -> bool | None:
    """Whether its event has a row by now, given those that have one; None where that is not known."""
    return None if stored is None else letter.event in stored


def table(letters: Sequence[DeadLetter], stored: Collection[EventKey] | None) -> list[str]:
    """A line for each, and its detail beneath; `stored` as for `is_stored`."""
    lines = aligned([(*_COLUMNS, "stored"), *(_cells(letter, is_stored(letter, stored)) for letter in letters)])
    details = [f"    {visible(letter.text(DETAIL))}" for letter in letters]
    return [lines[0], *(line for pair in zip(lines[1:], details, strict=True) for line in pair)]


def _cells(letter: DeadLetter, stored: bool | None) -> tuple[str, ...]:  # noqa: FBT001 - a cell
    told = row(letter)
    return (*(visible(told[name]) for name in _COLUMNS), _STORED[stored])


def page(letter: DeadLetter) -> list[str]:
    """One dead letter in full; what is not UTF-8 shows as �."""
    headers = [f"  {visible(name):<14}  {_shown(value)}" for name, value in letter.headers]
    value = ["  no value"] if letter.value is None else ["", _shown(letter.value)]
    return [
        f"dead letter {letter.place}  {time_text(letter.time_ms)}",
        f"  {'key':<14}  {_shown(letter.key)}",
        *headers,
        *value,
    ]


def lines_of(summary: Summary, *, dry_run: bool) -> list[str]:
    """What became of those that were asked for."""
    lines = [f"{summary.events} to send" if dry_run else f"{summary.sent} sent"]
    if summary.stored:
        lines.append(f"{summary.stored} skipped: the event is stored")
    if summary.replayed:
        lines.append(f"{summary.replayed} skipped: the event was replayed already")
    lines += [f"{count} skipped: {words}" for words, count in sorted(summary.obstacles.items())]
    if summary.refused_again:
        lines.append(f"{summary.refused_again} still refused: dead letters again, `events dead-letters list` tells why")
    if not summary.settled:
        lines.append("the stream has not dealt with all of them yet")
    return lines


def summary_document(summary: Summary, *, dry_run: bool) -> dict[str, object]:
    """The same for a program."""
    return {
        "dry_run": dry_run,
        "to_send": summary.events,
        "sent": summary.sent,
        "skipped": {
            "stored": summary.stored,
            "replayed": summary.replayed,
            "not_replayable": sum(summary.obstacles.values()),
        },
        "refused_again": summary.refused_again,
        "settled": summary.settled,
    }


def bar(what: str, done: int, total: int) -> str:
    """How far something has come, in one line."""
    filled = _BAR * done // total if total else _BAR
    return f"{what}  [{'#' * filled}{'.' * (_BAR - filled)}]  {done:,} of {total:,}"


def _shown(value: bytes | None) -> str:
    text = (value or b"").decode(errors="replace")
    return "".join(character if character in _LINE_ENDS else visible(character) for character in text)
