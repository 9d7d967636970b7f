"""Raw records into normalized records, or into dead letters that say why not.

Pure: no I/O and no clock, and a schema holds from a time on that is Kafka's, so the same raw record always gives the
same bytes, however often it is read again; only where a schema refuses too many events it depends on those before
(`DeadLetterLimit`).
Whatever lies in the raw topic, and whoever wrote it, becomes one of the two.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Annotated, NamedTuple

import msgspec

from schemas import events, formats, segment
from schemas.codec import encode_envelope
from schemas.ddl import is_team_slug
from schemas.errors import ErrorCode, InvalidEvent
from schemas.free_json import json_text
from schemas.registered import Registered, Subject
from schemas.topics import (
    DISCARDS,
    EVENT_ID,
    FORMAT,
    KIND,
    MAX_RECORD_BYTES,
    RAW_OFFSET,
    RECEIVED_AT,
    SENT_AT,
    TEAM,
)
from schemas.values.coerce import Coerced, Discard
from stream.dead_letter import dead_letter
from stream.event_time import occurred_at
from stream.parts import join
from stream.records import RawRecord, Record
from stream.writers import EnvelopeHeaders, Writer, Writers

TYPED_KINDS = frozenset({events.KIND, segment.Track.kind})
"""Kinds of events whose name their sender chose; only these have schemas."""
TOO_MANY = "So many of this event do that it is no dead letter, but stored without typed fields."
# Headers that every normalized record has: event_id, team, raw_offset.
_ALWAYS = 3
# What all of its headers take at most, names included.
_HEADER_BYTES = 256
_AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
# What ClickHouse's DateTime64(6) holds.
_YEARS = range(1900, 2299)
_TOO_LARGE = Discard("", "", "typed fields", f"with them the record would exceed {MAX_RECORD_BYTES} bytes")

NOTHING_REGISTERED = Writers(Registered())


@dataclass(frozen=True, slots=True)
class NormalizedRun:
    """What became of one run; both lists keep the order of the raw records.

    Attributes:
        reasons: how many of the dead letters there are for each reason.
        spared: how many records of each subject are normalized without typed fields, there being too many dead letters.
    """

    normalized: list[Record] = field(default_factory=list)
    dead_letters: list[Record] = field(default_factory=list)
    reasons: Counter[ErrorCode] = field(default_factory=Counter)
    spared: Counter[Subject] = field(default_factory=Counter)

    @property
    def discards(self) -> int:
        """How many values did not fit."""
        added = (header for record in self.normalized for header in record.headers[_ALWAYS:])
        return sum(int(value or b"") for name, value in added if name == DISCARDS)


class _Untyped(NamedTuple):
    """A record whose typed fields are not written yet.

    Attributes:
        headers: those that every normalized record has.
        envelope: its body.
        discards: of the envelope.
        properties: JSON.
        received_at: microseconds since 1970.
    """

    key: bytes
    headers: list[tuple[str, bytes | None]]
    envelope: bytes
    discards: list[Discard]
    properties: bytes
    received_at: int
    writer: Writer


def normalize_run(records: Sequence[RawRecord], writers: Writers = NOTHING_REGISTERED) -> NormalizedRun:
    """Normalize each record; one that cannot be becomes a dead letter."""
    run = NormalizedRun()
    for record, outcome in zip(records, _outcomes(records, writers, run.spared), strict=True):
        if isinstance(outcome, InvalidEvent):
            run.dead_letters.append(dead_letter(record, outcome))
            run.reasons[outcome.code] += 1
        else:
            run.normalized.append(outcome)
    return run


def normalize(record: RawRecord, writers: Writers = NOTHING_REGISTERED) -> Record:
    """The normalized record of one raw record; its value is in wire format.

    Raises:
        InvalidEvent: where the raw record is not what the ingress would have written.
    """
    (outcome,) = _outcomes([record], writers, Counter())
    if isinstance(outcome, InvalidEvent):
        raise outcome
    return outcome


def _outcomes(records: Sequence[RawRecord], writers: Writers, spared: Counter[Subject]) -> list[Record | InvalidEvent]:
    """What became of each record.

    All envelopes come before all typed fields: in turn, the code of the one drives that of the other from the
    processor's cache, and both take half as long again.
    """
    envelope_headers = writers.envelope_headers
    outcomes: dict[int, Record | InvalidEvent] = {}
    untyped: defaultdict[Writer, dict[int, _Untyped]] = defaultdict(dict)
    for place, record in enumerate(records):
        try:
            found = _enveloped(record, writers, envelope_headers)
        except InvalidEvent as error:
            outcomes[place] = error
            continue
        if isinstance(found, _Untyped):
            untyped[found.writer][place] = found
        else:
            outcomes[place] = found
    for writer, waiting in untyped.items():
        outcomes |= _typed(writer, waiting, spared, envelope_headers)
    return [outcomes[place] for place in range(len(records))]


def _typed(
    writer: Writer, waiting: dict[int, _Untyped], spared: Counter[Subject], envelope_headers: EnvelopeHeaders
) -> Iterator[tuple[int, Record | InvalidEvent]]:
    """The records of one writer; those without a required member are dead letters as far as there may be so many."""
    coerced = writer.coercion.apply_all([each.properties for each in waiting.values()])
    refused = [place for place, typed in zip(waiting, coerced, strict=True) if isinstance(typed, InvalidEvent)]
    received_at = next(iter(waiting.values())).received_at
    to_spare = set(refused[writer.limit.allow(received_at, len(waiting), len(refused)) :])
    if to_spare:
        spared[writer.subject] += len(to_spare)
    for (place, each), typed in zip(waiting.items(), coerced, strict=True):
        if place in to_spare:
            discards = [*each.discards, Discard("", "", "typed fields", f"{typed} {TOO_MANY}")]
            yield place, _without_typed_fields(each.key, each.headers, each.envelope, discards, envelope_headers)
        elif isinstance(typed, InvalidEvent):
            yield place, typed
        else:
            yield place, _with_typed_fields(each, typed, envelope_headers)


def _enveloped(
    record: RawRecord, writers: Writers, envelope_headers: EnvelopeHeaders
) -> Record | InvalidEvent | _Untyped:
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
    writer = writers(team, event.event, record.timestamp) if event.kind in TYPED_KINDS else None
    if writer is not None:
        return _Untyped(record.key, own, envelope, discards, event.properties_json.encode(), received_at, writer)
    return _without_typed_fields(record.key, own, envelope, discards, envelope_headers)


def _with_typed_fields(record: _Untyped, typed: Coerced, envelope_headers: EnvelopeHeaders) -> Record | InvalidEvent:
    """Without them after all, where there is no room for them."""
    key, own, envelope, discards = record[:4]
    value, headers = join(record.writer.wire_header, envelope, discards + typed.discards, typed.body)
    if len(value) <= _room(key):
        return Record(key, value, [*own, *headers])
    return _without_typed_fields(key, own, envelope, [*discards, _TOO_LARGE], envelope_headers)


def _without_typed_fields(
    key: bytes,
    own: list[tuple[str, bytes | None]],
    envelope: bytes,
    discards: list[Discard],
    envelope_headers: EnvelopeHeaders,
) -> Record | InvalidEvent:
    if discards:
        value, headers = join(envelope_headers.with_discards, envelope, discards, None)
    else:
        value, headers = envelope_headers.bare + envelope, []
    if len(value) <= _room(key):
        return Record(key, value, [*own, *headers])
    return InvalidEvent(ErrorCode.TOO_LARGE, f"The normalized record would exceed {MAX_RECORD_BYTES} bytes.")


def _room(key: bytes) -> int:
    """How many bytes the value may have."""
    return MAX_RECORD_BYTES - _HEADER_BYTES - len(key)


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
