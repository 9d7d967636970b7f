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

from schemas.registered import Registered
from sink.rows import Record, Refused, Row, read_record

NOTHING = -1
"""Lower than every raw offset."""
TABLES_PER_STRETCH = 40
MAX_STRETCH = 3.0
_UNLIMITED = 1 << 62

RowId = tuple[int, bytes]
"""Raw offset and event id: what tells one row from all others, even where a new Kafka counts from 0 again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A batch is complete with this many rows or bytes, or when its first record has waited this long.

    With many typed tables, each of which is one insert more, it waits longer: up to MAX_STRETCH times.
    """

    rows: int
    bytes: int
    age_seconds: float

    def age(self, typed_tables: int) -> float:
        """How long a batch waits that goes into so many typed tables, in seconds."""
        return self.age_seconds * min(1 + typed_tables / TABLES_PER_STRETCH, MAX_STRETCH)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is stored at once: the records from offset `start` up to, not including, `end`.

    Attributes:
        writer_ids: of the schemas of those of its rows that hold more than an envelope.
        repeats: how many of its records were dropped, as their rows are here or in the table already.
        reopened: an earlier attempt, perhaps another process's, may still be under way.
    """

    start: int
    end: int
    rows: Sequence[Row]
    refused: Sequence[Refused] = ()
    teams: frozenset[str] = frozenset()
    writer_ids: frozenset[int] = frozenset()
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
        """Two batches that follow each other; for finding the row that ClickHouse rejects.

        They count as reopened: another table may have taken their rows before this one refused.
        """
        middle = len(self.rows) // 2
        border = self.rows[middle].offset
        below = [refused for refused in self.refused if refused.offset < border]
        above = [refused for refused in self.refused if refused.offset >= border]
        return (
            replace(self, end=border, rows=self.rows[:middle], refused=below, reopened=True),
            replace(self, start=border, rows=self.rows[middle:], refused=above, repeats=0, reopened=True),
        )


@dataclass(slots=True)
class Collector:
    """Takes the records of one partition in order until the batch is complete.

    Attributes:
        start: offset of the batch's first record.
        end: one past the last record that it took.
        until: where the batch must end, whatever the limits say: an earlier attempt has fixed it.
        registered: the schemas that its records may name.
        bytes: what its records hold.
    """

    limits: Limits
    start: int
    until: int | None = None
    registered: Registered = field(default_factory=Registered)
    bytes: int = 0
    end: int = field(init=False)
    _since: float | None = None
    _rows: list[Row] = field(default_factory=list)
    _refused: list[Refused] = field(default_factory=list)
    _teams: set[str] = field(default_factory=set)
    _writer_ids: set[int] = field(default_factory=set)
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
        return max(0, self._since + self.limits.age(len(self._writer_ids)) - now)

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
        teams, writer_ids = frozenset(self._teams), frozenset(self._writer_ids)
        return Batch(self.start, self.end, self._rows, self._refused, teams, writer_ids, self._repeats, reopened)

    def _take(self, record: Record) -> int:
        """Returns how many rows or dead letters it made."""
        read = read_record(record, self._teams, self.registered)
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
        if read.parts is not None:
            self._writer_ids.add(read.parts.writer_id)
        self.bytes += len(read.value)
        self._rows.append(read)
        return 1

    def _is_repeat(self, row: Row) -> bool:
        """Only repeats get here, so the rows are indexed no earlier."""
        self._ids.update((known.raw_offset, known.event_id) for known in islice(self._rows, len(self._ids), None))
        return (row.raw_offset, row.event_id) in self._ids
