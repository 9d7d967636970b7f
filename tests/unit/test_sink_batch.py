"""Cutting a partition into batches."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ErrorCode
from schemas.registered import ENVELOPE, WITH_DISCARDS, EnvelopeId, Registered
from sink.batch import NOTHING, Batch, Collector, Limits, RowId
from sink.inserts import Targets
from sink.rows import is_known
from tests.sink import Stored, envelope, event_id, headers
from tests.typed import NOTHING_FITS, typed_record, version

LIMITS = Limits(rows=3, bytes=1 << 20, age_seconds=1.0)
CUT: dict[str, bytes | None] = {"envelope_bytes": b"3", "discards": b"1"}
WIDE = Limits(rows=1_000, bytes=1 << 30, age_seconds=1.0)


def record(offset: int, raw_offset: int, team: str = "acme") -> Stored:
    """A good record of partition 0."""
    return Stored(offset, envelope(0, raw_offset, team), headers(0, raw_offset, team))


def identity(raw_offset: int) -> RowId:
    """What tells the row of a raw offset from all others."""
    return raw_offset, event_id(0, raw_offset).encode()


def collected(limits: Limits, raw_offsets: Sequence[int], start: int = 0) -> Batch:
    """One batch of records at consecutive offsets."""
    collector = Collector(limits, start)
    assert not collector.add([record(start + n, raw) for n, raw in enumerate(raw_offsets)], now=0.0)
    return collector.finish()


def test_batch_when_it_has_enough_rows() -> None:
    """A batch takes exactly as many rows as it may, is due at once, and gives the rest back."""
    collector = Collector(LIMITS, 10)

    rest = collector.add([record(10 + n, n) for n in range(5)], now=0.0)

    assert (collector.complete, collector.due(0.0)) == (True, 0)
    assert [left.offset for left in rest] == [13, 14]
    batch = collector.finish()
    assert (batch.start, batch.end, len(batch.rows), batch.teams) == (10, 13, 3, frozenset({"acme"}))


def test_batch_when_it_has_enough_bytes() -> None:
    """A batch is complete with the record that brings it to its limit of bytes."""
    size = len(envelope(0, 1, "acme"))
    collector = Collector(Limits(rows=100, bytes=2 * size, age_seconds=1.0), 0)

    rest = collector.add([record(n, n + 1) for n in range(4)], now=0.0)

    assert (collector.complete, collector.end, len(rest)) == (True, 2, 2)


def test_batch_when_it_gets_old() -> None:
    """A batch is due when its first record has waited long enough, and an empty one never is."""
    collector = Collector(LIMITS, 0)
    assert collector.due(100.0) is None

    collector.add([record(0, 0)], now=5.0)
    collector.add([record(1, 1)], now=5.5)

    assert collector.due(5.25) == pytest.approx(0.75)
    assert collector.due(6.0) == 0


def test_range_when_an_earlier_attempt_fixed_it() -> None:
    """A reopened range ends where it was fixed, whatever the limits and the time say."""
    collector = Collector(LIMITS, 0, until=5)

    assert not collector.add([record(n, n) for n in range(4)], now=0.0)
    assert (collector.complete, collector.due(1e9)) == (False, None)
    rest = collector.add([record(n, n) for n in range(4, 7)], now=0.0)

    batch = collector.finish()
    assert (len(batch.rows), batch.end, batch.reopened, len(rest)) == (5, 5, True, 2)


def test_range_when_its_end_expired_in_kafka() -> None:
    """A reopened range whose records are gone ends all the same, and the record behind it is not lost."""
    collector = Collector(LIMITS, 0, until=5)

    rest = collector.add([record(8, 8)], now=0.0)

    assert [left.offset for left in rest] == [8]
    assert (collector.complete, collector.finish().rows, collector.end) == (True, [], 5)


def test_records_when_delivered_twice() -> None:
    """Records below the next offset are left out: a rebalance may deliver them again."""
    collector = Collector(WIDE, 0)
    collector.add([record(0, 0), record(1, 1)], now=0.0)

    collector.add([record(0, 0), record(1, 1), record(2, 2)], now=0.0)

    assert [row.offset for row in collector.finish().rows] == [0, 1, 2]


def test_event_when_two_share_a_raw_offset() -> None:
    """Only the same event at the same raw offset is a repeat: a raw topic made anew counts from 0 again."""
    other = Stored(1, envelope(0, 7, "acme"), [("event_id", b"other"), ("team", b"acme"), ("raw_offset", b"7")])
    collector = Collector(WIDE, 0)

    collector.add([record(0, 7), other, record(2, 7)], now=0.0)

    batch = collector.finish()
    assert ([row.offset for row in batch.rows], batch.repeats, batch.end) == ([0, 1], 1, 3)


@pytest.mark.parametrize(
    ("value", "changed", "reason", "field"),
    [
        (None, {}, ErrorCode.UNKNOWN_FORMAT, None),
        (b"{}", {}, ErrorCode.UNKNOWN_FORMAT, None),
        (b"\x00\x00\x00\x00\x02body", {}, ErrorCode.MISSING_HEADER, "envelope_bytes"),
        (b"\x00\x00\x00\x04\x01body", {}, ErrorCode.UNKNOWN_SCHEMA, None),
        (b"\x00\x00\x00\x00\x02body", CUT | {"envelope_bytes": b"4"}, ErrorCode.INVALID_HEADER, "envelope_bytes"),
        (b"\x00\x00\x00\x00\x02body", CUT | {"envelope_bytes": b"-3"}, ErrorCode.INVALID_HEADER, "envelope_bytes"),
        (b"\x00\x00\x00\x00\x02body", CUT | {"discards": b"x"}, ErrorCode.INVALID_HEADER, None),
        (b"\x00\x00\x00\x00\x01body", {"raw_offset": None}, ErrorCode.MISSING_HEADER, "raw_offset"),
        (b"\x00\x00\x00\x00\x01body", {"event_id": None}, ErrorCode.MISSING_HEADER, "event_id"),
        (b"\x00\x00\x00\x00\x01body", {"team": None}, ErrorCode.MISSING_HEADER, "team"),
        (b"\x00\x00\x00\x00\x01body", {"raw_offset": b"x"}, ErrorCode.INVALID_HEADER, None),
        (b"\x00\x00\x00\x00\x01body", {"team": b"\xff"}, ErrorCode.INVALID_HEADER, None),
        (b"\x00\x00\x00\x00\x01body", {"team": b"system"}, ErrorCode.INVALID_HEADER, "team"),
    ],
)
def test_record_when_somebody_else_wrote_it(
    value: bytes | None, changed: dict[str, bytes | None], reason: ErrorCode, field: str | None
) -> None:
    """A record that can be no row is refused with its reason, and the records around it are kept."""
    given_headers = [(name, text) for name, text in (dict(headers(0, 1, "acme")) | changed).items() if text is not None]
    collector = Collector(WIDE, 0)

    collector.add([record(0, 0), Stored(1, value, given_headers), record(2, 2)], now=0.0)

    batch = collector.finish()
    assert [row.raw_offset for row in batch.rows] == [0, 2]
    assert [(refused.offset, refused.reason, refused.field) for refused in batch.refused] == [(1, reason, field)]


def test_parts_when_ids_are_those_of_another_registry() -> None:
    """A record's headers tell its parts, though its id once meant something else; records from before are read too."""
    registered, by = Registered(), version("acme", writer_id=2)
    value, cut = typed_record(by, 0, 3, {"revenue": 1.0}, [NOTHING_FITS])
    typed = Stored(3, value, cut)
    end = len(value) - int(dict(cut)["typed_bytes"] or b"")
    cut_untyped = [each for each in cut[3:] if each[0] != "typed_bytes"]
    misfit = Stored(2, b"\x00\x00\x00\x00\x01" + value[5:end], [*headers(0, 2, "acme"), *cut_untyped])
    bare = Stored(1, b"\x00\x00\x01\x11\x70" + envelope(0, 1, "acme")[5:], headers(0, 1, "acme"))
    assert not any(is_known(each, registered) for each in (bare, misfit, typed))

    registered.apply(by, 0)
    registered.apply_envelope(EnvelopeId(ENVELOPE, 70_000))
    registered.apply_envelope(EnvelopeId(WITH_DISCARDS, 1))
    assert all(is_known(each, registered) for each in (bare, misfit, typed))
    collector = Collector(WIDE, 0, registered=registered)
    collector.add([record(0, 0), bare, misfit, typed], now=0.0)
    batch = collector.finish()

    assert not batch.refused
    inserts = Targets("warehouse", registered).inserts(batch)
    assert [(each.target.kind, [row.offset for row in each.batch.rows]) for each in inserts] == [
        ("typed", [3]),
        ("discards", [2, 3]),
        ("events", [0, 1, 2, 3]),
    ]


def test_split_when_one_row_is_to_be_found() -> None:
    """Halves follow each other and share out everything; halving ends at batches of one row."""
    collector = Collector(WIDE, 0)
    collector.add([record(0, 0), Stored(1, b"", []), record(2, 2), record(3, 3), Stored(4, b"", [])], now=0.0)
    waiting, single = [collector.finish()], []
    while waiting:
        batch = waiting.pop(0)
        if len(batch.rows) > 1:
            waiting = [*batch.split(), *waiting]
        else:
            single.append(batch)

    assert [(batch.start, batch.end) for batch in single] == [(0, 2), (2, 3), (3, 5)]
    assert [row.raw_offset for batch in single for row in batch.rows] == [0, 2, 3]
    assert [refused.offset for batch in single for refused in batch.refused] == [1, 4]


def test_token_when_rows_or_range_differ() -> None:
    """The token is the same for the same rows of the same range, and another one for anything else."""
    batch = collected(WIDE, [0, 1, 2])

    def token(other: Batch) -> str:
        return other.deduplication_token("events.normalized", 0, "events")

    assert token(batch) == token(collected(WIDE, [0, 1, 2]))
    others = [collected(WIDE, [0, 1, 3]), collected(WIDE, [0, 1, 2], start=3), batch.without({identity(1)})]
    assert len({token(batch), *map(token, others)}) == 4


@st.composite
def repeated_runs(draw: st.DrawFn) -> list[int]:
    """Raw offsets as the stream writes them: runs in order, each starting anywhere in what was written before."""
    written: list[int] = []
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(written, default=-1) + 1))
        written += range(start, start + draw(st.integers(1, 8)))
    return written


def cut(records: Sequence[Stored], rows: int, fetched: int) -> Iterator[Batch]:
    """The batches of all records, which come some at a time."""
    limits = Limits(rows, 1 << 30, 1.0)
    collector = Collector(limits, 0)
    for start in range(0, len(records), fetched):
        rest = collector.add(records[start : start + fetched], now=0.0)
        while collector.complete:
            yield collector.finish()
            collector = Collector(limits, collector.end)
            rest = collector.add(rest, now=0.0)
    if not collector.empty:
        yield collector.finish()


@given(repeated_runs(), st.integers(1, 9), st.integers(1, 9), st.sets(st.integers(0, 12)))
def test_rows_when_runs_are_repeated(raw_offsets: list[int], rows: int, fetched: int, crashes: set[int]) -> None:
    """Whatever repeats come, however batches fall, though some are stored twice: each row is there once, in order."""
    records = [record(offset, raw) for offset, raw in enumerate(raw_offsets)]
    table: list[RowId] = []
    seen_to = NOTHING
    for number, batch in enumerate(cut(records, rows, fetched)):
        for doubtful in [False, True] if number in crashes else [False]:
            look = doubtful or batch.lowest_raw <= seen_to
            missing = batch.without(set(table)) if look else batch
            table += [(row.raw_offset, row.event_id) for row in missing.rows]
        seen_to = max(seen_to, batch.highest_raw)

    assert table == [identity(raw) for raw in range(max(raw_offsets) + 1)]
