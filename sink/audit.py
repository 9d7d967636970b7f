"""The audit's rules: which raw offsets of a partition went lost, and which are there twice.  Pure: no I/O, no clock.

Raw offsets are contiguous, and each settled one is either one row of `warehouse.events`, physically, or a dead letter.
Three things look like a violation and are none, which only the raw record tells.  By its event id: ClickHouse has
merged the row of a sender's retry into the row of its first sending; and a raw topic that was made anew counts from 0
again, so that rows of another event lie at the same offset.  By its team and time: the row was past what they keep.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

BUCKET = 10_000
"""How many offsets are counted together; a bucket is looked into only where its counts leave a question."""
CLOSE_LOOK = 100_000
"""How many offsets are looked into at once."""


class Span(NamedTuple):
    """Raw offsets from `start` up to, not including, `stop`."""

    start: int
    stop: int

    def pieces(self, size: int) -> Iterator["Span"]:
        """The same offsets in parts of at most this size."""
        for start in range(self.start, self.stop, size):
            yield Span(start, min(start + size, self.stop))


class Count(NamedTuple):
    """What the table holds of one bucket."""

    rows: int
    offsets: int


class Raw(NamedTuple):
    """What a raw record says of itself; `event_id` and `received_at` are None where it has no valid one."""

    event_id: str | None
    time_ms: int
    team: str = ""
    received_at: datetime | None = None


class Violation(StrEnum):
    """What may be wrong with an offset."""

    MISSING = "missing"
    DOUBLED = "doubled"
    BOTH = "both"


class Finding(NamedTuple):
    """One violation, and when the raw record was written."""

    violation: Violation
    offset: int
    event_id: str | None
    time_ms: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What Kafka and ClickHouse say about some offsets.

    Attributes:
        raw: the raw records that are still there.
        rows: the event ids of the rows at each offset.
        stored: which of the raw records' event ids have a row, wherever.
        past: the offsets of raw records that are older than what their team keeps, or kept.
    """

    raw: Mapping[int, Raw]
    rows: Mapping[int, Sequence[str]]
    stored: Collection[str]
    past: Collection[int] = ()


@dataclass(slots=True)
class Result:
    """What the audit of some offsets came to.

    Attributes:
        merged: offsets whose row was merged into that of another sending of the same event.
        foreign: rows of an event that is not the raw record's: another raw topic's.
        deleted: offsets whose row was past what its team keeps.
    """

    offsets: int = 0
    rows: int = 0
    dead_letters: int = 0
    merged: int = 0
    foreign: int = 0
    deleted: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        """Take in the result of other offsets."""
        self.offsets += other.offsets
        self.rows += other.rows
        self.dead_letters += other.dead_letters
        self.merged += other.merged
        self.foreign += other.foreign
        self.deleted += other.deleted
        self.findings += other.findings

    def of(self, violation: Violation) -> list[Finding]:
        """The findings of one kind, in the order of their offsets."""
        return sorted(finding for finding in self.findings if finding.violation is violation)


class Offsets:
    """Some raw offsets, each once, in eight bytes."""

    def __init__(self, offsets: Iterable[int] = ()) -> None:
        self._sorted = array("q", sorted(set(offsets)))

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, offset: int) -> bool:
        at = bisect_left(self._sorted, offset)
        return at < len(self._sorted) and self._sorted[at] == offset

    def add(self, offsets: Iterable[int]) -> None:
        """Take in more of them."""
        self._sorted = array("q", sorted({*self._sorted, *offsets}))

    def within(self, span: Span) -> Sequence[int]:
        """Those of a span, in order."""
        return self._sorted[bisect_left(self._sorted, span.start) : bisect_left(self._sorted, span.stop)]

    def count(self, span: Span) -> int:
        """How many there are in a span."""
        return bisect_left(self._sorted, span.stop) - bisect_left(self._sorted, span.start)

    def drop_below(self, start: int) -> None:
        """Forget the lower ones."""
        del self._sorted[: bisect_left(self._sorted, start)]


@dataclass(frozen=True, slots=True)
class Marks:
    """How far the pipeline has come with one partition; read in this order, so that a later mark never lags behind.

    Attributes:
        stream_committed: raw offset up to which the stream has produced what became of the records; None for nowhere.
        normalized: beginning and end of the normalized log.
        sink_committed: normalized offset up to which the sink has stored; None for nowhere.
        last_stored: the raw offset of the last normalized record before `sink_committed`, where it can be read.
    """

    stream_committed: int | None
    normalized: Span
    sink_committed: int | None
    last_stored: int | None


def settled(marks: Marks) -> int:
    """The raw offset below which every record is a row or a dead letter, if nothing was lost.

    The normalized log is the raw one in order, save for whole runs that are repeated; so what the sink has committed
    settles all that lies before it in the raw log, dead letters between included.  Dead letters at the end of a
    partition, or in one that has nothing else, are settled by the stream's own commit, once the sink has stored all
    there is.  The note beside the sink's offset cannot tell: where a range is reopened, it names the highest row of
    that range, of which others may be missing still.
    """
    by_sink = 0 if marks.last_stored is None else marks.last_stored + 1
    stored_all = max(marks.sink_committed or 0, marks.normalized.start) >= marks.normalized.stop
    by_stream = marks.stream_committed or 0 if stored_all else 0
    return max(by_sink, by_stream)


def suspicious(span: Span, counts: Mapping[int, Count], dead: Offsets) -> Iterator[Span]:
    """The parts of a span whose counts do not prove that all is well; `counts` is by bucket: offset // BUCKET."""
    start = stop = span.start
    for bucket in range(span.start // BUCKET, -(-span.stop // BUCKET)):
        part = Span(max(span.start, bucket * BUCKET), min(span.stop, (bucket + 1) * BUCKET))
        if _is_proven(part, counts.get(bucket, Count(0, 0)), dead.count(part)):
            continue
        if part.start > stop or part.stop - start > CLOSE_LOOK:
            if stop > start:
                yield Span(start, stop)
            start = part.start
        stop = part.stop
    if stop > start:
        yield Span(start, stop)


def _is_proven(part: Span, count: Count, dead: int) -> bool:
    size = part.stop - part.start
    # With dead letters among rows the counts prove nothing: one offset that is both makes up for one that is missing.
    return (count == (size, size) and not dead) or (count.rows == 0 and dead == size)


def questionable(absent: Collection[int], doubled: Collection[int], dead: Collection[int]) -> list[int]:
    """Which offsets need evidence: neither row nor dead letter, both, or several rows.

    Args:
        absent: offsets without a row.
        doubled: offsets with more than one.
        dead: offsets with a dead letter.
    """
    return sorted((set(absent) ^ set(dead)) | set(doubled))


def judge(offsets: Iterable[int], dead: Collection[int], evidence: Evidence) -> Result:
    """What is wrong with each of these offsets; one whose raw record has expired cannot be judged, and is left out."""
    result = Result()
    for offset in offsets:
        raw = evidence.raw.get(offset)
        if raw is None:
            continue
        ids = evidence.rows.get(offset, ())
        own = sum(event_id == raw.event_id for event_id in ids)
        result.foreign += len(ids) - own
        if not own and offset not in dead and raw.event_id in evidence.stored:
            result.merged += 1
            continue
        if not own and offset not in dead and offset in evidence.past:
            result.deleted += 1
            continue
        for violation in _violations(own, is_dead=offset in dead):
            result.findings.append(Finding(violation, offset, raw.event_id, raw.time_ms))
    return result


def _violations(own: int, *, is_dead: bool) -> Iterator[Violation]:
    if not own and not is_dead:
        yield Violation.MISSING
    if own > 1:
        yield Violation.DOUBLED
    if own and is_dead:
        yield Violation.BOTH


def ranges(offsets: Iterable[int]) -> list[Span]:
    """Sorted offsets as spans, for people: 3, 4, 5, 9 is 3 to 5, and 9."""
    listed = list(offsets)
    breaks = [0, *(at for at, (one, next_) in enumerate(pairwise(listed), 1) if next_ != one + 1), len(listed)]
    return [Span(listed[start], listed[stop - 1] + 1) for start, stop in pairwise(breaks) if stop > start]
