"""What each team's event is written by: its registered schema, compiled when it is first met.

Invariant: what is written by a version can be read by that version's writer schema.  A version of which that is not
certain is not used.
"""

from dataclasses import dataclass
from typing import NamedTuple

from schemas.codec import ENVELOPE_FIELDS, wire_header
from schemas.logs import get_logger
from schemas.registered import ENVELOPE, WITH_DISCARDS, Registered, Subject, Version
from schemas.typed import SchemaError, parse_schema
from schemas.values.coerce import Coercion
from schemas.written import DISCARDS, typed_fields
from stream.dead_letter_limit import NO_BOUNDS, Bounds, DeadLetterLimit

_log = get_logger(__name__)


class EnvelopeHeaders(NamedTuple):
    """What stands before a body that no team's schema wrote.

    Attributes:
        bare: of an envelope and nothing else.
    """

    bare: bytes
    with_discards: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """What writes one event.

    Attributes:
        wire_header: of each record that it writes.
        limit: of the event's dead letters; a new version begins anew.
    """

    subject: Subject
    wire_header: bytes
    coercion: Coercion
    limit: DeadLetterLimit


class Writers:
    """The writers of everything that is registered."""

    def __init__(self, registered: Registered, bounds: Bounds = NO_BOUNDS) -> None:
        self._registered = registered
        self._bounds = bounds
        self._compiled: dict[int, tuple[Version, Writer | None]] = {}

    @property
    def envelope_headers(self) -> EnvelopeHeaders:
        """As they are now; once for each run."""
        bare, with_discards = (self._registered.envelope_id(number) for number in (ENVELOPE, WITH_DISCARDS))
        return EnvelopeHeaders(wire_header(bare), wire_header(with_discards))

    def __call__(self, team: str, event: str, taken_at: int) -> Writer | None:
        """The writer of a team's event that Kafka took at this time, in milliseconds since 1970.

        None where it had no schema then, or one that cannot be used.
        """
        version = self._registered.writes(team, event, taken_at)
        if version is None:
            return None
        held = self._compiled.get(version.writer_id)
        if held is None or held[0] is not version:
            held = self._compiled[version.writer_id] = version, _usable(version, self._bounds)
        return held[1]


def compiled(version: Version, bounds: Bounds) -> Writer:
    """The writer of a version.

    Raises:
        SchemaError: where there can be none.
    """
    schema = parse_schema(version.schema)
    fields = version.writer_schema.get("fields", [])
    envelope, rest = fields[: len(ENVELOPE_FIELDS)], fields[len(ENVELOPE_FIELDS) :]
    names = tuple(field["name"] for field in envelope)
    if names != ENVELOPE_FIELDS or rest != [DISCARDS, *typed_fields(schema)]:
        raise SchemaError("Its writer schema is not the one that this release writes by.")
    return Writer(version.subject, wire_header(version.writer_id), Coercion(schema), DeadLetterLimit(bounds))


def _usable(version: Version, bounds: Bounds) -> Writer | None:
    try:
        return compiled(version, bounds)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # Whatever somebody wrote into the topic: it costs the typed fields of this event, and nothing else.
        subject = str(version.subject)
        _log.error(
            "schema_unusable",
            subject=subject,
            version=version.number,
            reason=repr(error),
            todo="register one that can be used: until then this event has no typed fields",
        )
        return None
