"""What one record of `events.normalized` is in the warehouse: rows, still encoded, or a dead letter.  Pure.

An envelope is a row of `warehouse.events`.  A record that holds more has headers that say where to cut it, as each part
of it is a row of another table: nothing is decoded.  Ids alone tell no parts, since a registry may give a team's
schema one that the envelope had before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.codec import SCHEMA_HEADER_BYTES, schema_id
from schemas.ddl import is_team_slug
from schemas.errors import ErrorCode
from schemas.registered import ENVELOPE, WITH_DISCARDS, Registered
from schemas.topics import DISCARDS, ENVELOPE_BYTES, EVENT_ID, RAW_OFFSET, TEAM, TYPED_BYTES

UNTYPED = 0
"""No schema's id."""


class Record(Protocol):
    """A record of `events.normalized`, as the Kafka client gives it."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class Parts(NamedTuple):
    """What a value holds beside its envelope.

    Attributes:
        writer_id: of the team's schema that wrote it; UNTYPED where none did.
        envelope_end: position in the value; the discards follow.
        typed_start: position in the value; the typed fields reach to its end.
        discards: how many there are.
    """

    writer_id: int
    envelope_end: int
    typed_start: int
    discards: int


class Row(NamedTuple):
    """One row to insert, still encoded; it keeps of its record only what is needed, as many of them wait in memory.

    Attributes:
        offset: of its record.
        raw_offset: with `event_id`, its identity.
        value: in Confluent wire format.
        parts: None where the value is an envelope and nothing else.
    """

    offset: int
    raw_offset: int
    event_id: bytes
    team: str
    key: bytes | None
    value: bytes
    parts: Parts | None = None

    def refuse(self, reason: ErrorCode, detail: str) -> "Refused":
        """The record as a dead letter instead."""
        headers = [(EVENT_ID, self.event_id), (TEAM, self.team.encode()), (RAW_OFFSET, b"%d" % self.raw_offset)]
        return Refused(self.offset, self.key, self.value, headers, reason, detail)


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that cannot become a row, and why."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    reason: ErrorCode
    detail: str
    field: str | None = None


class _Unreadable(Exception):
    """The record cannot become a row."""

    def __init__(self, reason: ErrorCode, detail: str, header: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.header = header


def read_record(record: Record, teams: set[str], registered: Registered) -> Row | Refused:
    """What a record is in the warehouse; its team is added to `teams`."""
    try:
        return _read(record, teams, registered)
    except _Unreadable as error:
        reason, header = error.reason, error.header
        return Refused(record.offset, record.key, record.value, record.headers, reason, str(error), header)


def _read(record: Record, teams: set[str], registered: Registered) -> Row:
    value = record.value
    headers = dict(record.headers)
    if value is None:
        raise _Unreadable(ErrorCode.UNKNOWN_FORMAT, "the record has no value")
    try:
        team = headers[TEAM].decode()
        parts = _parts(value, headers, team, registered)
        row = Row(record.offset, int(headers[RAW_OFFSET]), headers[EVENT_ID], team, record.key, value, parts)
    except KeyError as error:
        name = str(error.args[0])
        raise _Unreadable(ErrorCode.MISSING_HEADER, f"the record has no header {name}", name) from error
    except ValueError as error:
        raise _Unreadable(ErrorCode.INVALID_HEADER, f"a header cannot be read: {error}") from error
    if team not in teams:
        if not is_team_slug(team):
            raise _Unreadable(ErrorCode.INVALID_HEADER, f"{team!r} cannot name a team", TEAM)
        teams.add(team)
    return row


def is_known(record: Record, registered: Registered) -> bool:
    """Whether what wrote a record is registered, as far as it is known here."""
    writer_id = int.from_bytes((record.value or b"")[1:SCHEMA_HEADER_BYTES])
    names = {name for name, _ in record.headers}
    if TYPED_BYTES in names:
        return registered.written_by(writer_id) is not None
    return registered.is_envelope(WITH_DISCARDS if ENVELOPE_BYTES in names else ENVELOPE, writer_id)


def _parts(value: bytes, headers: dict[str, bytes], team: str, registered: Registered) -> Parts | None:
    try:
        writer_id = schema_id(value)
    except ValueError as error:
        raise _Unreadable(ErrorCode.UNKNOWN_FORMAT, f"the value is {error}") from error
    if ENVELOPE_BYTES not in headers and registered.is_envelope(ENVELOPE, writer_id):
        return None
    typed = 0
    if TYPED_BYTES not in headers and registered.is_envelope(WITH_DISCARDS, writer_id):
        writer_id = UNTYPED
    else:
        version = registered.written_by(writer_id)
        if version is None:
            raise _Unreadable(ErrorCode.UNKNOWN_SCHEMA, f"there is no schema with the id {writer_id}")
        if version.subject.team != team:
            owner = version.subject.team
            raise _Unreadable(ErrorCode.INVALID_HEADER, f"its schema is {owner}'s, and the header says {team!r}", TEAM)
        typed = int(headers[TYPED_BYTES])
    envelope, discards = int(headers[ENVELOPE_BYTES]), int(headers[DISCARDS])
    parts = Parts(writer_id, SCHEMA_HEADER_BYTES + envelope, len(value) - typed, discards)
    if not (envelope > 0 and SCHEMA_HEADER_BYTES < parts.envelope_end < parts.typed_start <= len(value)):
        raise _Unreadable(ErrorCode.INVALID_HEADER, "the headers cut the value where it has no parts", ENVELOPE_BYTES)
    return parts
