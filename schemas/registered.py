"""Registered schemas: what `events.schemas` carries, and what of it held at which time.  Pure.

The registry writes each version once and writes it again where it is deleted; the stream writes by it, and the sink
makes its table and columns, which are part of it, so that all releases make the same.  An external registry gives the
envelope's own versions ids as well, of which the last one counts; the others stay in the topic, for records in flight.

A version holds for the events that Kafka took after it, by Kafka's clock: a raw record that is normalized again, by
whomever and however late, is normalized by the same version.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated, Any

import fastavro
import msgspec
from fastavro.schema import SchemaParseException

from schemas.codec import DISCARDS_SCHEMA_ID, ENVELOPE_SCHEMA_ID

FIRST_ID = 1_000
"""Of our own registry; ids below are those of the envelope's own versions."""
ENVELOPE, WITH_DISCARDS = 1, 2
"""The envelope's versions."""
_ENVELOPE_KEY = b"envelope/"
_Id = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]


class Subject(msgspec.Struct, frozen=True):
    """Whose schema of which event: `acme.Purchased an Item`, or `acme.Purchased an Item@2` of the second major.

    Attributes:
        event: its name, as sent.
        major: counts from 1; the versions of one major are compatible with each other.
    """

    team: str
    event: str
    major: int = 1

    def __str__(self) -> str:
        """As the registry's clients write it."""
        return f"{self.team}.{self.event}" + (f"@{self.major}" if self.major > 1 else "")


def parse_subject(text: str) -> Subject:
    """The opposite of `str(subject)`.

    Raises:
        ValueError: in words for whoever wrote it.
    """
    team, dot, event = text.partition(".")
    if not dot or not team or not event:
        raise ValueError(f"The subject {text!r} must be a team and an event's name: acme.Purchased an Item")
    name, at, number = event.rpartition("@")
    if not at or not number.isdecimal():
        return Subject(team, event)
    if not name or number[0] == "0" or int(number) < 2:
        raise ValueError(f"The subject {text!r} must end without @, or with @2, @3, … for an incompatible successor.")
    return Subject(team, name, int(number))


class Column(msgspec.Struct, frozen=True):
    """A column of a typed table.

    Attributes:
        field: of the writer's schema.
        type: ClickHouse's.
    """

    field: str
    name: str
    type: str


class Version(msgspec.Struct, frozen=True):
    """One version of a subject.

    Attributes:
        number: counts from 1 within the subject.
        id: of what was registered.
        writer_id: of what the stream writes.
        schema: what was registered, as it was sent.
        writer_schema: what the stream writes, in Avro's JSON.
        table: what the typed table is called in the team's database; the same for all versions of a subject.
        columns: of its typed fields.
        deleted: whether the stream is not to write by it any more.
    """

    subject: Subject
    number: int
    id: int
    writer_id: int
    schema: str
    writer_schema: dict[str, Any]
    table: str
    columns: tuple[Column, ...]
    deleted: bool = False

    @property
    def key(self) -> bytes:
        """Of its record in `events.schemas`."""
        return f"{self.subject}/{self.number}".encode()

    def encode(self) -> bytes:
        """The record's value: JSON."""
        return msgspec.json.encode(self)


class EnvelopeId(msgspec.Struct, frozen=True):
    """The id by which the stream writes a version of the envelope.

    Attributes:
        number: ENVELOPE or WITH_DISCARDS.
    """

    number: Annotated[int, msgspec.Meta(ge=1)]
    id: _Id

    @property
    def key(self) -> bytes:
        """Of its record in `events.schemas`; no subject begins so, as each has a dot before its first slash."""
        return _ENVELOPE_KEY + f"v{self.number}/{self.id}".encode()

    def encode(self) -> bytes:
        """The record's value: JSON."""
        return msgspec.json.encode(self)


def decode_record(key: bytes | None, value: bytes | None) -> Version | EnvelopeId:
    """What a record of `events.schemas` holds.

    Raises:
        ValueError: where that is nothing that this release knows.
    """
    if key is None or not key.startswith(_ENVELOPE_KEY):
        return decode_version(value or b"")
    try:
        return msgspec.json.decode(value or b"", type=EnvelopeId)
    except ValueError as error:
        raise ValueError(f"no id of an envelope: {error}") from error


def decode_version(value: bytes) -> Version:
    """The opposite of `Version.encode`; members that a later release added are left out.

    Raises:
        ValueError: where it is none.
    """
    try:
        version = msgspec.json.decode(value, type=Version)
        fastavro.parse_schema(version.writer_schema)
    except (ValueError, KeyError, TypeError, SchemaParseException) as error:
        raise ValueError(f"no version of a schema: {error}") from error
    return version


class Registered:
    """All versions that were published, and all ids of the envelope.

    Times are milliseconds since 1970, by Kafka's clock.
    """

    def __init__(self) -> None:
        self._envelope_ids = defaultdict(list, {ENVELOPE: [ENVELOPE_SCHEMA_ID], WITH_DISCARDS: [DISCARDS_SCHEMA_ID]})
        self._versions: dict[int, Version] = {}
        self._of_event: defaultdict[tuple[str, str], dict[int, Version]] = defaultdict(dict)
        self._history: defaultdict[tuple[str, str], list[tuple[int, Version | None]]] = defaultdict(list)

    def __iter__(self) -> Iterator[Version]:
        """Every version, deleted ones too, in the order of their first publication."""
        return iter(list(self._versions.values()))

    def apply_envelope(self, given: EnvelopeId) -> None:
        """Take an id of the envelope: from now on it counts."""
        ids = self._envelope_ids[given.number]
        if given.id in ids:
            ids.remove(given.id)
        ids.append(given.id)

    def envelope_id(self, number: int) -> int:
        """What the stream writes this version of the envelope by."""
        return self._envelope_ids[number][-1]

    def is_envelope(self, number: int, schema_id: int) -> bool:
        """Whether this version of the envelope has, or ever had, this id.

        A team's schema may have it too: what tells their records apart is the headers.
        """
        return schema_id in self._envelope_ids[number]

    def apply(self, version: Version, taken_at: int) -> None:
        """Take a version, new or changed, in the order of the topic; `taken_at` is its record's time."""
        self._versions[version.writer_id] = version
        event = version.subject.team, version.subject.event
        self._of_event[event][version.writer_id] = version
        held = [each for each in self._of_event[event].values() if not each.deleted]
        last = max(held, key=lambda each: (each.subject.major, each.number), default=None)
        self._history[event].append((taken_at, last))

    def of_event(self, subject: Subject) -> list[Version]:
        """Every version of all majors of a subject's event, deleted ones too."""
        return list(self._of_event[subject.team, subject.event].values())

    def writes(self, team: str, event: str, taken_at: int) -> Version | None:
        """What the stream writes an event by that Kafka took then: the last version of the highest major."""
        for since, version in reversed(self._history.get((team, event), ())):
            if since < taken_at:
                return version
        return None

    def written_by(self, writer_id: int) -> Version | None:
        """The version that the stream wrote a record by, deleted or not."""
        return self._versions.get(writer_id)
