"""The receipt of an event: from what was found of it to the answer.  Pure."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from ingress.receipts.evidence import Evidence, Place, Record, Row, Trace
from schemas import topics

MAX_SENDINGS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class State(StrEnum):
    """How far an event has come; of several sendings the one that came furthest counts."""

    UNKNOWN = "unknown"
    """It was not found, but not all was looked through: `gap` says why."""
    ACCEPTED = "accepted"
    """It is in the raw topic, and waits for the stream."""
    DEAD_LETTER = "dead_letter"
    """It cannot be normalized or stored as it is."""
    NORMALIZED = "normalized"
    """It waits for the sink."""
    STORED = "stored"
    """Analysts see it."""


class Accepted(msgspec.Struct):
    """One sending: when and by which token, where that is still known, and where its record is."""

    received_at: datetime | None
    token_id: str | None
    topic: str
    partition: int
    offset: int


class Normalized(msgspec.Struct):
    """Where its normalized record is; offset and time only while that waits for the sink."""

    topic: str
    partition: int
    offset: int | None = None
    normalized_at: datetime | None = None


class DeadLetter(msgspec.Struct):
    """Why it could not go on, and where its dead letter is."""

    reason: str
    field: str | None
    detail: str
    dead_lettered_at: datetime
    topic: str
    partition: int
    offset: int


class Stored(msgspec.Struct):
    """The row that analysts see: of several sendings that of the first."""

    table: str
    inserted_at: datetime


class Receipt(msgspec.Struct):
    """The answer; a stage that the event has not reached, or that is not known of it, is null.

    Attributes:
        complete: whether all was looked through; where it is not, `gap` says what was not.
        accepted: the first sending of those in `sendings`.
        sendings: each raw record that is known of it, at most MAX_SENDINGS.
    """

    success: bool
    id: str
    state: State
    complete: bool
    gap: str | None
    accepted: Accepted | None
    normalized: Normalized | None
    dead_letter: DeadLetter | None
    stored: Stored | None
    sendings: list[Accepted]


def raw_places(evidence: Evidence) -> list[Place]:
    """Where the raw records are of which more should be known: those that were not read themselves."""
    trace = evidence.trace
    found = [(row.partition, row.offset) for row in evidence.rows]
    found += map(_raw_place, (*trace.normalized, *trace.dead_letters))
    read = {(record.partition, record.offset) for record in trace.raw}
    return [place for place in dict.fromkeys(found) if place not in read][:MAX_SENDINGS]


def write_receipt(evidence: Evidence, names: topics.Topics, gap: str | None) -> Receipt | None:
    """The receipt; None where nothing was found and nothing is left to look through.

    Args:
        evidence: all that was found.
        names: of the topics.
        gap: what was not looked through, in words.
    """
    wanted, trace, state = evidence.wanted, evidence.trace, _state(evidence)
    if state is State.UNKNOWN and gap is None:
        return None
    sendings = _sendings(evidence, names.raw)
    stored = min(evidence.rows, key=lambda row: row.offset, default=None)
    return Receipt(
        success=True,
        id=str(wanted.event_id),
        state=state,
        complete=gap is None,
        gap=gap,
        accepted=sendings[0] if sendings else None,
        normalized=_normalized(stored, trace, names.normalized),
        dead_letter=_dead_letter(trace.dead_letters[0]) if trace.dead_letters else None,
        stored=Stored(f"{wanted.team}.events", stored.inserted_at) if stored else None,
        sendings=sendings,
    )


def _state(evidence: Evidence) -> State:
    trace = evidence.trace
    if evidence.rows:
        return State.STORED
    if trace.normalized:
        return State.NORMALIZED
    if trace.dead_letters:
        return State.DEAD_LETTER
    return State.ACCEPTED if trace.raw else State.UNKNOWN


def _sendings(evidence: Evidence, topic: str) -> list[Accepted]:
    """What is known of each raw record: best from itself, else from what was made of it."""
    trace = evidence.trace
    known: dict[Place, Accepted] = {}
    for record in trace.normalized:
        known[_raw_place(record)] = Accepted(None, None, topic, *_raw_place(record))
    for row in evidence.rows:
        known[row.partition, row.offset] = Accepted(row.received_at, None, topic, row.partition, row.offset)
    for letter in trace.dead_letters:
        known[_raw_place(letter)] = _accepted(_raw_place(letter), letter, topic)
    for record in (*evidence.raw.values(), *trace.raw):
        # A topic that was made anew has other records at the same offsets: perhaps of another team.
        if evidence.wanted.matches(record.headers):
            place = record.partition, record.offset
            known[place] = _accepted(place, record, topic)
    sendings = sorted(known.values(), key=lambda found: (found.received_at or _LATEST, found.partition, found.offset))
    return sendings[:MAX_SENDINGS]


def _accepted(place: Place, record: Record, topic: str) -> Accepted:
    """From the headers of the raw record, or of its dead letter, which has them too."""
    received_at = _time(record.headers.get(topics.RECEIVED_AT))
    return Accepted(received_at, _text(record, topics.TOKEN_ID) or None, topic, *place)


def _normalized(stored: Row | None, trace: Trace, topic: str) -> Normalized | None:
    if stored:
        return Normalized(topic, stored.partition)
    if not trace.normalized:
        return None
    record = trace.normalized[0]
    return Normalized(topic, record.partition, record.offset, _at(record))


def _dead_letter(record: Record) -> DeadLetter:
    reason, field, detail = (_text(record, name) for name in (topics.REASON, topics.FIELD, topics.DETAIL))
    return DeadLetter(reason, field or None, detail, _at(record), record.topic, record.partition, record.offset)


def _raw_place(record: Record) -> Place:
    """Where the raw record is that this one was made of; it has the same partition number."""
    offset = record.headers.get(topics.RAW_OFFSET) or b""
    return record.partition, int(offset) if offset.isdigit() else -1


def _at(record: Record) -> datetime:
    return _EPOCH + timedelta(milliseconds=record.timestamp_ms)


def _time(header: bytes | None) -> datetime | None:
    """None where it is not there, or was written by somebody who does not keep to the contract."""
    try:
        return msgspec.convert((header or b"").decode(), _Time)
    except (msgspec.ValidationError, UnicodeDecodeError):
        return None


def _text(record: Record, name: str) -> str:
    return (record.headers.get(name) or b"").decode(errors="replace")
