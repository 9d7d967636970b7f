"""Cuts the records of one partition into batches.  Pure: no I/O, and time is an argument.

A batch is a range of offsets of `events.normalized`; the same range always gives the same rows.  A record that the
stream repeated within a batch is kept once; repeats of earlier batches are only known to ClickHouse, so `lowest_raw`
tells the caller when to look.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from struct import pack
from typing import NamedTuple, Protocol

from schemas.codec import ENVELOPE_HEADER
from schemas.ddl import is_team_slug
from schemas.errors import ErrorCode
from schemas.topics import EVENT_ID, RAW_OFFSET, TEAM

NOTHING = -1
"""Lower than every raw offset."""
_UNLIMITED = 1 << 62

RowId = tuple[int, bytes]
"""Raw offset and event id: what tells one row from all others, even where a new Kafka counts from 0 again."""


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


class Row(NamedTuple):
    """One row to insert, still encoded; it keeps of its record only what is needed, as many of them wait in memory.

    Attributes:
        offset: of its record.
        raw_offset: with `event_id`, its identity.
        value: in Confluent wire format.
    """

    offset: int
    raw_offset: int
    event_id: bytes
    team: str
    key: bytes | None
    value: bytes

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


@dataclass(frozen=True, slots=True)
class Limits:
    """A batch is complete with this many rows or bytes, or when its first record has waited this long."""

    rows: int
    bytes: int
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What one insert takes: the records from offset `start` up to, not including, `end`.

    Attributes:
        repeats: how many of its records were dropped, as their rows are here or in the table already.
        reopened: an earlier attempt, perhaps another process's, may still be under way.
    """

    start: int
    end: int
    rows: Sequence[Row]
    refused: Sequence[Refused] = ()
    teams: frozenset[str] = frozenset()
    repeats: int = 0
    reopened: bool = False

    @property
    def lowest_raw(self) -> int:
        """The lowest raw offset of its rows."""
        return min((row.raw_offset for row in self.rows), default=NOTHING)

    @property
    def highest_raw(self) -> int:
        """The highest raw offset of its rows."""
        return max((row.raw_offset for row in self.rows), default=NOTHING)

    def deduplication_token(self, topic: str, partition: int, table: str) -> str:
        """The name of the insert: its range, and a digest of its rows' identities.

        With the digest, equal names mean equal rows, also where a topic was made anew or only some rows are missing.
        """
        digest = blake2b(digest_size=16)
        digest.update(pack(f">{len(self.rows)}q", *[row.raw_offset for row in self.rows]))
        digest.update(b"".join([row.event_id for row in self.rows]))
        return f"v1/{topic}/{partition}/{self.start}-{self.end}/{digest.hexdigest()}/{table}"

    def without(self, present: Collection[RowId]) -> "Batch":
        """The same batch less the rows that are in the table already."""
        missing = [row for row in self.rows if (row.raw_offset, row.event_id) not in present]
        return replace(self, rows=missing, repeats=self.repeats + len(self.rows) - len(missing))

    def split(self) -> tuple["Batch", "Batch"]:
        """Two batches that follow each other; for finding the row that ClickHouse rejects."""
        middle = len(self.rows) // 2
        border = self.rows[middle].offset
        below = [refused for refused in self.refused if refused.offset < border]
        above = [refused for refused in self.refused if refused.offset >= border]
        return (
            replace(self, end=border, rows=self.rows[:middle], refused=below),
            replace(self, start=border, rows=self.rows[middle:], refused=above, repeats=0),
        )


@dataclass(slots=True)
class Collector:
    """Takes the records of one partition in order until the batch is complete.

    Attributes:
        start: offset of the batch's first record.
        end: one past the last record that it took.
        until: where the batch must end, whatever the limits say: an earlier attempt has fixed it.
        bytes: what its records hold.
    """

    limits: Limits
    start: int
    until: int | None = None
    bytes: int = 0
    end: int = field(init=False)
    _since: float | None = None
    _rows: list[Row] = field(default_factory=list)
    _refused: list[Refused] = field(default_factory=list)
    _teams: set[str] = field(default_factory=set)
    _repeats: int = 0
    _highest: int = NOTHING
    _ids: set[RowId] = field(default_factory=set)

    def __post_init__(self) -> None:
        """An empty batch ends where it starts."""
        self.end = self.start

    @property
    def empty(self) -> bool:
        """Whether it has taken no record."""
        return self.end == self.start

    @property
    def complete(self) -> bool:
        """Whether it takes no more records."""
        if self.until is not None:
            return self.end >= self.until
        return len(self._rows) + len(self._refused) >= self.limits.rows or self.bytes >= self.limits.bytes

    def due(self, now: float) -> float | None:
        """In how many seconds the batch is to be inserted: 0 for now, None while nothing is to be."""
        if self.complete:
            return 0
        if self._since is None or self.until is not None:
            return None
        return max(0, self._since + self.limits.age_seconds - now)

    def add(self, records: Sequence[Record], now: float) -> Sequence[Record]:
        """Take records as far as the batch goes, and return the rest."""
        fixed = self.until is not None
        stop = self.until if self.until is not None else _UNLIMITED
        room = _UNLIMITED if fixed else self.limits.rows - len(self._rows) - len(self._refused)
        space = _UNLIMITED if fixed else self.limits.bytes - self.bytes
        for index, record in enumerate(records):
            if record.offset >= stop or room <= 0 or space <= 0:
                # Where the range that an earlier attempt has fixed has expired in Kafka, it ends here all the same.
                self.end = self.until if self.until is not None else self.end
                return records[index:]
            if record.offset >= self.end:
                self.end = record.offset + 1
                space -= len(record.value or b"")
                room -= self._take(record)
                self._since = now if self._since is None else self._since
        return ()

    def finish(self) -> Batch:
        """What was collected."""
        reopened = self.until is not None
        return Batch(self.start, self.end, self._rows, self._refused, frozenset(self._teams), self._repeats, reopened)

    def _take(self, record: Record) -> int:
        """Returns how many rows or dead letters it made."""
        read = read_record(record, self._teams)
        if isinstance(read, Refused):
            self.bytes += len(record.value or b"")
            self._refused.append(read)
            return 1
        if read.raw_offset <= self._highest:
            if self._is_repeat(read):
                self._repeats += 1
                return 0
        else:
            self._highest = read.raw_offset
        self.bytes += len(read.value)
        self._rows.append(read)
        return 1

    def _is_repeat(self, row: Row) -> bool:
        """Only repeats get here, so the rows are indexed no earlier."""
        self._ids.update((known.raw_offset, known.event_id) for known in islice(self._rows, len(self._ids), None))
        return (row.raw_offset, row.event_id) in self._ids


def read_record(record: Record, teams: set[str]) -> Row | Refused:
    """What a record is in the table; its team is added to `teams`."""
    value = record.value
    headers = dict(record.headers)
    if value is None or not value.startswith(ENVELOPE_HEADER):
        return _refuse(record, ErrorCode.UNKNOWN_FORMAT, "the value is not an envelope in Confluent wire format")
    try:
        team = headers[TEAM].decode()
        row = Row(record.offset, int(headers[RAW_OFFSET]), headers[EVENT_ID], team, record.key, value)
    except KeyError as error:
        name = str(error.args[0])
        return _refuse(record, ErrorCode.MISSING_HEADER, f"the record has no header {name}", name)
    except ValueError as error:
        return _refuse(record, ErrorCode.INVALID_HEADER, f"a header cannot be read: {error}")
    if team not in teams:
        if not is_team_slug(team):
            return _refuse(record, ErrorCode.INVALID_HEADER, f"{team!r} cannot name a team", TEAM)
        teams.add(team)
    return row


def _refuse(record: Record, reason: ErrorCode, detail: str, header: str | None = None) -> Refused:
    return Refused(record.offset, record.key, record.value, record.headers, reason, detail, header)
