"""The audit's rules, on histories with planted losses and doubles."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sink import audit
from sink.audit import Count, Evidence, Marks, Offsets, Raw, Span, Violation, judge, questionable, settled, suspicious

BUCKET = 5
LOOK = 10


@pytest.fixture(autouse=True, scope="module")
def _small_buckets() -> object:
    """Buckets of a few offsets, so that a short history has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "BUCKET", BUCKET)
        patch.setattr(audit, "CLOSE_LOOK", LOOK)
        yield


@dataclass(frozen=True)
class History:
    """What lies in Kafka and ClickHouse.

    Attributes:
        rows: offset and event id of each.
        wrong: what was planted.
        merged: offsets whose row went into another sending's.
        deleted: offsets whose row was past what its team keeps.
        past: offsets of which no row can be missed for that reason, whatever else there is of them.
    """

    span: Span
    raw: dict[int, Raw]
    rows: list[tuple[int, str]]
    dead: set[int]
    wrong: set[tuple[Violation, int]]
    merged: int
    foreign: int
    deleted: int
    past: set[int]


FATES = (
    "row",
    "row",
    "row",
    "dead",
    "dead twice",
    "merged",
    "foreign too",
    "deleted",
    "missing",
    "doubled",
    "both",
    "doubled, dead",
)


@st.composite
def histories(draw: Callable[..., list[str]]) -> History:
    """Each offset gets one fate; a merged one repeats the event of offset -1, which has its row."""
    fates = draw(
        st.lists(st.sampled_from(FATES), max_size=60) | st.lists(st.sampled_from(("row", "dead", "missing", "both")))
    )
    span = Span(3, 3 + len(fates))
    merged, foreign, deleted = (fates.count(fate) for fate in ("merged", "foreign too", "deleted"))
    history = History(span, {}, [(2, "first")], set(), set(), merged, foreign, deleted, set())
    for offset, fate in enumerate(fates, span.start):
        event_id = "first" if fate == "merged" else f"event {offset}"
        history.raw[offset] = Raw(event_id, offset)
        copies = {"row": 1, "foreign too": 1, "doubled": 2, "both": 1, "doubled, dead": 2}.get(fate, 0)
        history.rows.extend([(offset, event_id)] * copies)
        if fate == "foreign too":
            history.rows.append((offset, "of another topic"))
        if fate in {"dead", "dead twice", "both", "doubled, dead"}:
            history.dead.add(offset)
        if fate != "missing":
            history.past.add(offset)
        planted = {
            "missing": ["missing"],
            "doubled": ["doubled"],
            "both": ["both"],
            "doubled, dead": ["both", "doubled"],
        }
        history.wrong.update((Violation(name), offset) for name in planted.get(fate, ()))
    return history


@given(histories())
def test_audit_when_losses_and_doubles_are_planted(history: History) -> None:
    """Exactly the planted ones are named: no other, and none is hidden by another."""
    rows = Counter(offset for offset, _ in history.rows)
    counts: dict[int, Count] = {}
    for offset in range(*history.span):
        known = counts.get(offset // BUCKET, Count(0, 0))
        counts[offset // BUCKET] = Count(known.rows + rows[offset], known.offsets + (rows[offset] > 0))
    result = audit.Result()

    for part in suspicious(history.span, counts, Offsets(history.dead)):
        assert part.stop - part.start <= LOOK + BUCKET
        absent = {offset for offset in range(*part) if not rows[offset]}
        doubled = {offset for offset in range(*part) if rows[offset] > 1}
        dead = [offset for offset in history.dead if offset in range(*part)]
        asked = questionable(absent, doubled, dead)
        found = {offset: [name for at, name in history.rows if at == offset] for offset in asked}
        result.add(judge(asked, dead, Evidence(history.raw, found, {name for _, name in history.rows}, history.past)))

    assert {(finding.violation, finding.offset) for finding in result.findings} == history.wrong
    counted = (result.merged, result.foreign, result.deleted)
    assert counted == (history.merged, history.foreign, history.deleted)


@pytest.mark.parametrize(
    ("rows", "dead", "close_looks"),
    [
        (list(range(10)), [], []),
        ([], list(range(10)), []),
        (list(range(9)), [], [Span(5, 10)]),
        ([0, 1], [2], [Span(0, 10)]),
    ],
    ids=["full", "only dead letters", "one absent", "mixed"],
)
def test_bucket_when_its_counts_suffice(rows: list[int], dead: list[int], close_looks: list[Span]) -> None:
    """A bucket that is full of rows, or of dead letters, is not looked into."""
    numbers = Counter(offset // BUCKET for offset in rows)

    found = list(suspicious(Span(0, 10), {bucket: Count(n, n) for bucket, n in numbers.items()}, Offsets(dead)))

    assert found == close_looks


def test_offset_when_its_raw_record_has_expired() -> None:
    """It cannot be judged any more, and is no violation."""
    assert judge([7], [], Evidence({}, {}, set())).findings == []


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        (Marks(None, Span(0, 0), None, None), 0),
        (Marks(50, Span(0, 0), None, None), 50),
        (Marks(50, Span(0, 9), None, None), 0),
        (Marks(50, Span(9, 9), None, None), 50),
        (Marks(50, Span(0, 9), 4, 20), 21),
        (Marks(50, Span(0, 9), 9, 20), 50),
        (Marks(15, Span(0, 9), 9, 20), 21),
    ],
    ids=[
        "nothing",
        "only dead letters",
        "no commit of the sink",
        "expired",
        "sink behind",
        "dead letters last",
        "both",
    ],
)
def test_settled_when_the_pipeline_is_there(marks: Marks, expected: int) -> None:
    """What the sink has stored is settled, and what lies between; dead letters at the end once the sink has all."""
    assert settled(marks) == expected


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 50)), st.integers(0, 50), st.integers(0, 50))
def test_offsets_when_asked(first: list[int], second: list[int], start: int, stop: int) -> None:
    """They are a sorted set, by spans."""
    offsets, known = Offsets(first), {*first, *second}
    offsets.add(second)

    assert list(offsets.within(Span(start, stop))) == sorted(known & set(range(start, stop)))
    assert offsets.count(Span(0, 51)) == len(offsets) == len(known)
    assert [offset in offsets for offset in range(51)] == [offset in known for offset in range(51)]
    offsets.drop_below(start)
    assert list(offsets.within(Span(0, 51))) == sorted(offset for offset in known if offset >= start)


def test_ranges_when_printed() -> None:
    """Neighbors are one range."""
    assert audit.ranges([3, 4, 5, 9, 11, 12]) == [Span(3, 6), Span(9, 10), Span(11, 13)]
    assert audit.ranges([]) == []
