"""The checker finds each kind of violation, and nothing in a history that keeps every promise."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.checker import (
    ONCE_PER_ATTEMPT,
    RULES,
    DeadLetter,
    Normalized,
    Observed,
    RawRecord,
    Row,
    Typed,
    check,
)
from tests.faults.counters import Counted, Counts, Life
from tests.faults.ledger import Attempt, Ledger, Outcome

FIRST = Attempt("e1", "acme", "acme/u", 1, "aa", Outcome.OK)
SECOND = Attempt("e2", "acme", "acme/u", 2, "bb", Outcome.OK)
RETRIED = Attempt("e3", "other", "other/u", 1, "cc", Outcome.UNKNOWN)
REFUSED = Attempt("e4", "acme", "acme/u", 3, "dd", Outcome.REFUSED)
POISON = Attempt("e5", "acme", "acme/u", 0, "ee", Outcome.OK, poison=True)
REPLAYED = Attempt("e6", "acme", "acme/v", 1, "ff", Outcome.OK, changing=True)

BEFORE = Counts(
    acknowledged=10,
    unknown=1,
    normalized=10,
    dead_letters=2,
    lives={
        "ingress": Life("i", 0, {"events_accepted": 3}),
        "stream": Life("s", 1, {"records_normalized": 4, "dead_letters": 1}),
        "sink": Life("k", 1, {"rows_inserted": 5, "repeats_dropped": 1}),
    },
)
AFTER = Counts(
    acknowledged=15,
    unknown=3,
    normalized=18,
    dead_letters=4,
    lives={
        "ingress": Life("i", 0, {"events_accepted": 9}),
        "stream": Life("s", 1, {"records_normalized": 12, "dead_letters": 2}),
        "sink": Life("k", 1, {"rows_inserted": 10, "repeats_dropped": 3, "dead_letters": 1}),
    },
)

ROW = Row((0, 0), "e1", "acme")
GOOD = Observed(
    raw=[
        RawRecord((0, 0), "e1", "acme/u", "aa"),
        RawRecord((0, 1), "e2", "acme/u", "bb"),
        RawRecord((1, 0), "e3", "other/u", "cc"),
        RawRecord((1, 1), "e3", "other/u", "cc"),
        RawRecord((0, 2), "e5", "acme/u", "ee"),
        RawRecord((1, 2), "e6", "acme/v", "ff"),
        RawRecord((1, 3), "e6", "acme/v", "ff", replayed=True),
    ],
    normalized=[
        Normalized((0, 0), "e1"),
        Normalized((0, 1), "e2"),
        Normalized((0, 0), "e1"),
        Normalized((0, 1), "e2"),
        Normalized((1, 0), "e3"),
        Normalized((1, 1), "e3"),
        Normalized((1, 3), "e6"),
    ],
    dead_letters=[DeadLetter((0, 2), "invalid_json", "ee"), DeadLetter((1, 2), "missing_member", "ff")],
    rows=[
        Row((0, 0), "e1", "acme"),
        Row((0, 1), "e2", "acme"),
        Row((1, 0), "e3", "other"),
        Row((1, 3), "e6", "acme"),
    ],
    typed={"acme.x": Typed([ROW], [ROW], [ROW])},
    views={
        "acme": [Row((0, 0), "e1", "acme"), Row((0, 1), "e2", "acme"), Row((1, 3), "e6", "acme")],
        "other": [Row((1, 0), "e3", "other")],
    },
    lag={"stream": 0, "sink": 0},
    counted=Counted(BEFORE, AFTER, undisturbed=True),
)


def ledger() -> Ledger:
    """A retry after an unknown outcome, a refusal, a stranger's poison, and what a changing schema refused at first."""
    ledger = Ledger()
    for attempt in (FIRST, SECOND, RETRIED, replace(RETRIED, outcome=Outcome.OK), REFUSED, POISON, REPLAYED):
        ledger.note(attempt)
    return ledger


def test_check_when_every_promise_is_kept() -> None:
    """Repeats of whole runs, retries, poison and replays are no violations."""
    assert check(ledger(), GOOD) == []


BROKEN: dict[str, Callable[[Observed], Observed]] = {
    "an acknowledged event is in the raw topic": lambda o: replace(o, raw=o.raw[1:]),
    "nothing refused or never sent is in the raw topic": lambda o: replace(
        o, raw=[*o.raw, RawRecord((0, 3), "e4", "acme/u", "dd")]
    ),
    "raw bytes are the posted bytes": lambda o: replace(o, raw=[replace(o.raw[0], sha256="ab"), *o.raw[1:]]),
    "an attempt makes at most one raw record": lambda o: replace(o, raw=[*o.raw, replace(o.raw[0], offset=(0, 3))]),
    "a replayed record was a dead letter": lambda o: replace(
        o, raw=[*o.raw, replace(o.raw[0], offset=(0, 3), replayed=True)]
    ),
    "a raw record is normalized or a dead letter": lambda o: replace(o, dead_letters=[]),
    "a normalized record has its raw record": lambda o: replace(
        o, normalized=[*o.normalized, Normalized((0, 9), "e1")]
    ),
    "a normalized partition is its raw one in order": lambda o: replace(o, normalized=o.normalized[1:]),
    "poison, and what a changing schema refuses, is a dead letter": lambda o: replace(
        o, dead_letters=[*o.dead_letters, DeadLetter((0, 0), "invalid_json", "aa")]
    ),
    "a dead letter has its reason and its bytes": lambda o: replace(o, dead_letters=[DeadLetter((0, 2), "", "ee")]),
    "a normalized record is stored": lambda o: replace(o, rows=o.rows[1:]),
    "a raw offset is stored once": lambda o: replace(o, rows=[*o.rows, o.rows[0]]),
    "a row has its normalized record": lambda o: replace(o, rows=[*o.rows, Row((0, 2), "e5", "acme")]),
    "typed tables and discards agree with the events": lambda o: replace(
        o, typed={"acme.x": Typed([ROW], [ROW, ROW], [ROW])}
    ),
    "a team sees each of its events once": lambda o: replace(o, views=o.views | {"acme": o.views["acme"][:1]}),
    "a team sees no other team's events": lambda o: replace(o, views=o.views | {"acme": [*o.views["acme"], o.rows[2]]}),
    "order per key is kept": lambda o: replace(
        o, raw=[replace(o.raw[1], offset=(0, 0)), replace(o.raw[0], offset=(0, 1)), *o.raw[2:]]
    ),
    "the lag returns to zero": lambda o: replace(o, lag={"sink": 1}),
    "counters add up": lambda o: replace(o, counted=Counted(BEFORE, replace(AFTER, normalized=19))),
}


@pytest.mark.parametrize("rule", RULES)
def test_check_when_one_promise_is_broken(rule: str) -> None:
    """A history that breaks a promise is found out by that promise's rule."""
    violations = check(ledger(), BROKEN[rule](GOOD))

    assert rule in {violation.rule for violation in violations}


@pytest.mark.parametrize("rule", RULES)
def test_check_when_the_ingress_may_repeat(rule: str) -> None:
    """One rule alone has an exception after a kill of an ingress that spills: a raw record may be there again."""
    violations = check(ledger(), BROKEN[rule](GOOD), ingress_repeats=True)

    assert (rule in {violation.rule for violation in violations}) == (rule != ONCE_PER_ATTEMPT)


def test_check_when_an_event_is_shown_twice() -> None:
    """A doubled event in a team's view is named with its count."""
    doubled = replace(GOOD, views=GOOD.views | {"acme": [*GOOD.views["acme"], GOOD.views["acme"][0]]})

    assert [violation.where for violation in check(ledger(), doubled)] == ["acme: event e1 is shown 2 times"]


def after(**lives: Life) -> Counted:
    """The run of GOOD, but with other processes at its end."""
    return Counted(BEFORE, replace(AFTER, lives={**AFTER.lives, **lives}))


@pytest.mark.parametrize(
    ("counted", "wrong"),
    [
        (after(ingress=Life("i", 0, {"events_accepted": 7})), "accepted by the ingress: 4 counted, 5 to 7"),
        (after(ingress=Life("i", 0, {"events_accepted": 11})), "accepted by the ingress: 8 counted, 5 to 7"),
        (after(stream=Life("s", 1, {"records_normalized": 13, "dead_letters": 2})), "by the stream: 9 counted, 8 to 8"),
        (after(stream=Life("s", 2, {"records_normalized": 11, "dead_letters": 2})), "by the stream: 7 counted, 8 to 8"),
        (after(stream=Life("s", 1, {"records_normalized": 12, "dead_letters": 1})), "dead letters: 1 counted, 2 to 2"),
        (after(sink=Life("k", 1, {"rows_inserted": 9, "repeats_dropped": 3, "dead_letters": 1})), "7 counted, 8 to 8"),
        (after(sink=Life("k", 2, {"rows_inserted": 11, "repeats_dropped": 3, "dead_letters": 1})), "9 counted, 0 to 8"),
    ],
)
def test_counters_when_they_do_not_add_up(counted: Counted, wrong: str) -> None:
    """A count too many or too few is told with its bounds."""
    (told,) = counted.wrong()

    assert wrong in told


@pytest.mark.parametrize("name", AFTER.lives)
def test_counters_when_a_process_died(name: str) -> None:
    """Nothing is claimed of its successor, which began at zero; but without a fault there may be none."""
    counted = after(**{name: Life("successor", 1, {})})

    assert list(counted.wrong()) == []
    assert list(replace(counted, undisturbed=True).wrong()) == [f"{name} was disturbed although there was no fault"]


def test_counters_when_the_sink_lost_its_partitions() -> None:
    """A range whose commit was not confirmed to it is not counted; in a run without a fault none is lost."""
    counted = after(sink=Life("k", 2, {"rows_inserted": 9, "repeats_dropped": 1, "dead_letters": 1}))

    assert list(counted.wrong()) == []
    assert list(replace(counted, undisturbed=True).wrong()) == ["sink was disturbed although there was no fault"]


@pytest.mark.parametrize("typed", [Typed([ROW], [], [ROW]), Typed([ROW], [ROW], [ROW, ROW]), Typed([], [ROW], [])])
def test_check_when_tables_disagree(typed: Typed) -> None:
    """A row that is missing, double or alone in one of an event's tables is named."""
    (violation,) = check(ledger(), replace(GOOD, typed={"acme.x": typed}))

    assert violation.where.startswith("partition 0 offset 0 event e1")
