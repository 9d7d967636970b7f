"""Dead letters as they lie in their topic: which are wanted, what each says, and what of it is sent again.  Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.ddl import is_team_slug
from schemas.events import is_event_id
from schemas.topics import (
    DEAD_LETTER_HEADERS,
    EVENT_ID,
    FORMAT,
    NORMALIZED_FORMAT,
    RAW_OFFSET,
    REASON,
    REPLAYED_FROM,
    TEAM,
)
from sink import dead_letter_rows
from stream.records import Record

NO_VALUE = "the dead letter holds no value: it was too large to be copied, or there was none"
NOT_RAW = "the dead letter holds the normalized record, not the event as it was posted"
NO_EVENT = "its headers name no event id and team, so it would be refused again"
_OURS = DEAD_LETTER_HEADERS | {REPLAYED_FROM}

Headers = Sequence[tuple[str, bytes | None]]


class EventKey(NamedTuple):
    """What tells one event from all others."""

    event_id: str
    team: str


@dataclass(frozen=True, slots=True)
class Filters:
    """Which dead letters are wanted; None for all.

    Attributes:
        since_ms: those that became dead letters at this time, in milliseconds since 1970, or later.
        until_ms: those that did before.
    """

    team: str | None = None
    reason: str | None = None
    event_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def match(self, letter: "DeadLetter") -> bool:
        """Whether it is one of them."""
        return (
            (self.team is None or letter.text(TEAM) == self.team)
            and (self.reason is None or letter.text(REASON) == self.reason)
            and (self.event_id is None or letter.text(EVENT_ID).lower() == self.event_id.lower())
            and (self.since_ms is None or letter.time_ms >= self.since_ms)
            and (self.until_ms is None or letter.time_ms < self.until_ms)
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the topic.

    Attributes:
        partition: of the dead letter itself, as is `offset`; the raw record's partition has the same number.
        time_ms: when Kafka took it, in milliseconds since 1970.
    """

    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @classmethod
    def of(cls, record: dead_letter_rows.Record) -> "DeadLetter":
        """The dead letter that a record is."""
        return cls(record.partition, record.offset, record.timestamp, record.key, record.value, record.headers)

    @property
    def place(self) -> str:
        """Where it lies: what `show` takes, and what its replay is marked with."""
        return f"{self.partition}/{self.offset}"

    @property
    def event(self) -> EventKey | None:
        """Whose event it was, where its headers say so as the stream wants it."""
        event_id, team = self.text(EVENT_ID), self.text(TEAM)
        return EventKey(event_id.lower(), team) if is_event_id(event_id) and is_team_slug(team) else None

    @property
    def raw_offset(self) -> int:
        """The raw record's offset; -1 where the header does not tell."""
        text = self.text(RAW_OFFSET)
        return int(text) if text.isascii() and text.isdigit() else -1

    @property
    def obstacle(self) -> str | None:
        """Why it cannot be replayed, in words; None where it can."""
        if self.text(FORMAT) == NORMALIZED_FORMAT.decode():
            return NOT_RAW
        if self.value is None:
            return NO_VALUE
        return NO_EVENT if self.event is None else None

    def text(self, header: str) -> str:
        """A header as text, empty where there is none; of several with this name the last, as the stream reads it."""
        return (dict(self.headers).get(header) or b"").decode(errors="replace")

    def raw_record(self) -> Record:
        """The raw record once more: its key, its bytes, its own headers, and the mark of a replay."""
        own = [(name, value) for name, value in self.headers if name not in _OURS]
        return Record(self.key, self.value, [*own, (REPLAYED_FROM, self.place.encode())])


def replayed_event(headers: Headers) -> EventKey | None:
    """Whose event a raw record replays; None where it is no replay."""
    found = dict(headers)
    if REPLAYED_FROM not in found:
        return None
    event_id, team = ((found.get(name) or b"").decode(errors="replace") for name in (EVENT_ID, TEAM))
    return EventKey(event_id.lower(), team)
