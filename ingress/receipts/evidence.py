"""What is found of an event in Kafka and ClickHouse, and where to look for it.  Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from schemas.topics import EVENT_ID, TEAM

Place = tuple[int, int]
"""Partition and offset of a raw record."""

_TIMED_VERSION = 7
# The clocks of ingress and broker differ by less, or the search begins too late and says that it is not complete.
CLOCKS_MILLISECONDS = 1_000


class Span(NamedTuple):
    """Offsets of one partition, from `start` up to, not including, `stop`."""

    start: int
    stop: int

    def window(self, most: int, hint: int | None) -> "Span":
        """The same span where it is no longer than `most`, else so much of it.

        Args:
            most: how many offsets.
            hint: where the record is not before; without it the newest ones are as good a guess as any.
        """
        newest = self.stop - most
        if newest <= self.start:
            return self
        start = newest if hint is None else min(max(hint, self.start), newest)
        return Span(start, start + most)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The event that is asked for, by a token of its team."""

    team: str
    event_id: UUID

    def matches(self, headers: Mapping[str, bytes | None]) -> bool:
        """Whether a record is of this event, and of this team: nobody learns of another team's."""
        event_id = headers.get(EVENT_ID)
        return (
            event_id is not None
            and event_id.lower() == str(self.event_id).encode()
            and headers.get(TEAM) == self.team.encode()
        )

    @property
    def earliest_ms(self) -> int | None:
        """Milliseconds since 1970 before which no record of it was written, where its id tells (RFC 9562, 5.7)."""
        if self.event_id.version != _TIMED_VERSION:
            return None
        return max(0, (self.event_id.int >> 80) - CLOCKS_MILLISECONDS)


class Record(NamedTuple):
    """A record of any of the three topics.

    Attributes:
        timestamp_ms: when the broker wrote it, since 1970.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    headers: Mapping[str, bytes | None]


class Row(NamedTuple):
    """A row of the warehouse; the partition and offset are its raw record's."""

    partition: int
    offset: int
    received_at: datetime
    inserted_at: datetime


class Trace(NamedTuple):
    """What there is of an event in Kafka.

    Attributes:
        raw: its records that the stream has not committed yet.
        normalized: those that the sink has not committed yet.
        complete: whether all was read that had to be.
    """

    raw: Sequence[Record] = ()
    normalized: Sequence[Record] = ()
    dead_letters: Sequence[Record] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was found of an event.

    Attributes:
        rows: of the warehouse, all of this event.
        raw: the raw records that the others were made of, as far as they are still there, whosoever they are.
    """

    wanted: Wanted
    rows: Sequence[Row]
    trace: Trace
    raw: Mapping[Place, Record] = field(default_factory=dict)
