"""Raw records into normalized records, or into dead letters that say why not.

Pure: no I/O and no clock, so by the same schema the same raw record always gives the same bytes, however often it is
read again.
Whatever lies in the raw topic, and whoever wrote it, becomes one of the two.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Annotated, NamedTuple, Protocol

import msgspec

from schemas import events, formats, segment
from schemas.codec import DISCARDS_HEADER, encode_envelope
from schemas.ddl import is_team_slug
from schemas.errors import ErrorCode, InvalidEvent
from schemas.free_json import json_text
from schemas.topics import (
    DEAD_LETTER_HEADERS,
    DETAIL,
    DISCARDS,
    EVENT_ID,
    FIELD,
    FORMAT,
    KIND,
    MAX_RECORD_BYTES,
    RAW_OFFSET,
    RAW_PARTITION,
    REASON,
    RECEIVED_AT,
    SENT_AT,
    TEAM,
)
from stream.coerce import Discard
from stream.event_time import occurred_at
from stream.parts import join
from stream.writers import Writer

TYPED_KINDS = frozenset({events.KIND, segment.Track.kind})
"""Kinds of events whose name their sender chose; only these have schemas."""
MAX_DETAIL_CHARACTERS = 500
NOT_COPIED = "The raw record is too large to be copied: read it at raw_partition and raw_offset."

# Headers that every normalized record has: event_id, team, raw_offset.
_ALWAYS = 3
# What all of its headers take at most, names included.
_HEADER_BYTES = 256
_AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
# What ClickHouse's DateTime64(6) holds.
_YEARS = range(1900, 2299)
_TOO_LARGE = Discard("", "", "typed fields", f"with them the record would exceed {MAX_RECORD_BYTES} bytes")

RawHeaders = Sequence[tuple[str, bytes | None]]
WriterOf = Callable[[str, str], Writer | None]
"""Gives what writes a team's event, by its name."""


class RawRecord(Protocol):
    """A record of the raw topic, as aiokafka reads it."""

    @property
    def key(self) -> bytes | None:
        """What chose the partition."""

    @property
    def value(self) -> bytes | None:
        """The event's bytes as posted."""

    @property
    def headers(self) -> RawHeaders:
        """What the ingress knows about the event."""

    @property
    def partition(self) -> int:
        """Partition of the raw topic."""

    @property
    def offset(self) -> int:
        """Offset in it."""


class Record(NamedTuple):
    """A record to produce, to the partition that its raw record came from."""

    key: bytes | None
    value: bytes | None
    headers: RawHeaders


@dataclass(frozen=True, slots=True)
class NormalizedRun:
    """What became of one run; both lists keep the order of the raw records.

    Attributes:
        reasons: how many of the dead letters there are for each reason.
    """

    normalized: list[Record] = field(default_factory=list)
    dead_letters: list[Record] = field(default_factory=list)
    reasons: Counter[ErrorCode] = field(default_factory=Counter)

    @property
    def discards(self) -> int:
        """How many values did not fit."""
        added = (header for record in self.normalized for header in record.headers[_ALWAYS:])
        return sum(int(value or b"") for name, value in added if name == DISCARDS)


def no_writer(_team: str, _event: str) -> None:
    """Where nothing is registered."""


def normalize_run(records: Sequence[RawRecord], writer_of: WriterOf = no_writer) -> NormalizedRun:
    """Normalize each record; one that cannot be becomes a dead letter."""
    run = NormalizedRun()
    for record in records:
        try:
            run.normalized.append(normalize(record, writer_of))
        except InvalidEvent as error:
            run.dead_letters.append(dead_letter(record, error))
            run.reasons[error.code] += 1
    return run


def normalize(record: RawRecord, writer_of: WriterOf = no_writer) -> Record:
    """The normalized record of one raw record; its value is in wire format.

    Raises:
        InvalidEvent: where the raw record is not what the ingress would have written.
    """
    headers = dict(record.headers)
    event_id = _event_id(_header(headers, EVENT_ID))
    team = _team(_header(headers, TEAM))
    received_at = _micros(RECEIVED_AT, _header(headers, RECEIVED_AT))
    sent_at = None if (sent := headers.get(SENT_AT)) is None else _micros(SENT_AT, sent)
    if record.key is None:
        raise InvalidEvent(ErrorCode.MISSING_MEMBER, "The raw record has no key.", "key")
    if record.value is None:
        raise InvalidEvent(ErrorCode.INVALID_JSON, "The raw record has no value.")
    event = formats.parse(_format(_header(headers, FORMAT)), _format(headers.get(KIND) or b""), record.value)
    occurred, discards = occurred_at(event.time, sent_at, received_at)
    envelope = encode_envelope(
        {
            "event_id": event_id,
            "team": team,
            "event": event.event,
            "kind": event.kind,
            "user_id": _id_text(event.user_id),
            "anonymous_id": _id_text(event.anonymous_id),
            "occurred_at": occurred,
            "sent_at": sent_at,
            "received_at": received_at,
            "properties_json": event.properties_json,
            "context_json": json_text(event.context),
            "raw_partition": record.partition,
            "raw_offset": record.offset,
        }
    )
    own: list[tuple[str, bytes | None]] = [
        (EVENT_ID, event_id.encode()),
        (TEAM, team.encode()),
        (RAW_OFFSET, b"%d" % record.offset),
    ]
    writer = writer_of(team, event.event) if event.kind in TYPED_KINDS else None
    room = MAX_RECORD_BYTES - _HEADER_BYTES - len(record.key)
    value, more = _written(envelope, event.properties_json, writer, discards, room)
    if len(value) > room:
        raise InvalidEvent(ErrorCode.TOO_LARGE, f"The normalized record would exceed {MAX_RECORD_BYTES} bytes.")
    return Record(record.key, value, [*own, *more])


def _written(
    envelope: bytes, properties: str, writer: Writer | None, discards: list[Discard], room: int
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The value, and the headers of its parts: with typed fields where there is a schema and `room` bytes suffice."""
    if writer is not None:
        typed, misfits = writer.coercion.apply(properties.encode())
        value, headers = join(writer.wire_header, envelope, discards + misfits, typed)
        if len(value) <= room:
            return value, headers
        discards = [*discards, _TOO_LARGE]
    return join(DISCARDS_HEADER, envelope, discards, None) if discards else (envelope, [])


def dead_letter(record: RawRecord, error: InvalidEvent) -> Record:
    """The raw record as it is, and why it could not be normalized.

    Where a copy would exceed MAX_RECORD_BYTES its value is left out, then its key and headers too; the detail says so.
    """
    raw = [(name, value) for name, value in record.headers if name not in DEAD_LETTER_HEADERS]
    letter = Record(record.key, record.value, [*raw, *_explanation(record, error, error.message)])
    if _size(letter) <= MAX_RECORD_BYTES:
        return letter
    explanation = _explanation(record, error, f"{error.message[: MAX_DETAIL_CHARACTERS // 2]} {NOT_COPIED}")
    letter = Record(record.key, None, [*raw, *explanation])
    return letter if _size(letter) <= MAX_RECORD_BYTES else Record(None, None, explanation)


def _explanation(record: RawRecord, error: InvalidEvent, detail: str) -> list[tuple[str, bytes | None]]:
    return [
        (REASON, error.code.value.encode()),
        (FIELD, (error.field or "").encode()),
        (DETAIL, detail[:MAX_DETAIL_CHARACTERS].encode(errors="replace")),
        (RAW_PARTITION, b"%d" % record.partition),
        (RAW_OFFSET, b"%d" % record.offset),
    ]


def _size(record: Record) -> int:
    headers = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _header(headers: Mapping[str, bytes | None], name: str) -> bytes:
    value = headers.get(name)
    if value is None:
        raise InvalidEvent(ErrorCode.MISSING_HEADER, f"The raw record has no header {name}.", name)
    return value


def _event_id(header: bytes) -> str:
    text = _text(EVENT_ID, header)
    if not events.is_event_id(text):
        raise InvalidEvent(ErrorCode.INVALID_HEADER, "The header event_id must be a UUID.", EVENT_ID)
    return text


# Every record names its team, and there are few: a slug is checked once.
@lru_cache(maxsize=4096)
def _team(header: bytes) -> str:
    slug = _text(TEAM, header)
    if not is_team_slug(slug):
        raise InvalidEvent(ErrorCode.INVALID_HEADER, "The header team must be the slug of a team.", TEAM)
    return slug


# Few words, in every record.
@lru_cache(maxsize=64)
def _format(header: bytes) -> str:
    return _text(FORMAT, header)


def _id_text(member: str | int | None) -> str:
    return "" if member is None else str(member)


def _micros(name: str, header: bytes) -> int:
    try:
        time = msgspec.convert(_text(name, header), _AwareTime)
        if time.year in _YEARS:
            return events.to_micros(time)
    except msgspec.ValidationError:
        pass
    raise InvalidEvent(
        ErrorCode.INVALID_HEADER, f"The header {name} must be an RFC 3339 time with a zone, from 1900 to 2298.", name
    )


def _text(name: str, header: bytes) -> str:
    try:
        return header.decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent(ErrorCode.INVALID_HEADER, f"The header {name} must be UTF-8 text.", name) from error
