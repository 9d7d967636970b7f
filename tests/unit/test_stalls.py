"""What counts as standing still, and what never does."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from schemas.stalls import LONGEST_STEP_SECONDS, SESSIONS, SILENCE, Answer, Reading, Stalls, Standing

STALL_SECONDS = 30
SESSION_SECONDS = 6
LONG_SECONDS = 3600
FETCH_BRINGS_NOTHING = Standing(joined=True, reading={0: Reading(5, None, None)}, writing={})
COMMIT_HANGS = Standing(joined=True, reading={}, writing={"partition 0's commit": 5})
NEVER_JOINED = Standing(joined=False, reading={}, writing={})
MORE = Answer({0: 8}, group=True, whole=True)


def told_after(
    looks: Iterable[tuple[float, Standing, Answer]], session_seconds: float = SESSION_SECONDS
) -> float | None:
    """When a process is first said to stand still, by these looks."""
    stalls = Stalls(STALL_SECONDS, session_seconds)
    return next((now for now, standing, answer in looks if stalls.look(standing, answer, now)), None)


def each_second(
    standing: Standing, answer: Answer, start: int = 0, end: int = LONG_SECONDS
) -> Iterable[tuple[float, Standing, Answer]]:
    """The same sight, second after second."""
    return ((now, standing, answer) for now in range(start, end))


@pytest.mark.parametrize("standing", [FETCH_BRINGS_NOTHING, COMMIT_HANGS, NEVER_JOINED])
def test_stall_when_nothing_moves_although_kafka_answers(standing: Standing) -> None:
    """A fetch that brings nothing, a commit that hangs, and a group never joined are told after the time given."""
    assert told_after(each_second(standing, MORE)) == STALL_SECONDS


@pytest.mark.parametrize(
    ("standing", "answer"),
    [
        (FETCH_BRINGS_NOTHING, SILENCE),
        (FETCH_BRINGS_NOTHING, replace(MORE, ends={1: 8})),
        (COMMIT_HANGS, SILENCE),
        (COMMIT_HANGS, replace(MORE, group=False)),
        (COMMIT_HANGS, replace(MORE, whole=False)),
        (NEVER_JOINED, replace(MORE, group=False)),
    ],
    ids=["all", "leader", "all, commit", "coordinator, commit", "replica, commit", "coordinator, joining"],
)
def test_stall_when_the_broker_that_it_takes_is_away(standing: Standing, answer: Answer) -> None:
    """However long: the process waits, so a broker that is away for hours makes nobody start again and again."""
    assert told_after(each_second(standing, answer)) is None


@pytest.mark.parametrize(
    "standing",
    [
        Standing(joined=True, reading={}, writing={}),
        Standing(joined=True, reading={0: Reading(8, 8, 1)}, writing={}),
    ],
    ids=["no partitions, or no room", "all is read"],
)
def test_stall_when_there_is_nothing_to_do(standing: Standing) -> None:
    """A copy without partitions, one whose partitions have no room, and one that has read everything are well."""
    assert told_after(each_second(standing, MORE)) is None


def test_stall_when_it_moves() -> None:
    """Each step, however small, begins the time anew."""
    steps = (
        (now, replace(FETCH_BRINGS_NOTHING, reading={0: Reading(now // 20, None, None)}), Answer({0: 1000}, True, True))
        for now in range(LONG_SECONDS)
    )

    assert told_after(steps) is None


def test_stall_when_one_of_two_partitions_moves() -> None:
    """The one that stands is told by its number, with its offset."""
    stalls, told = Stalls(STALL_SECONDS, SESSION_SECONDS), list[str]()
    for now in range(STALL_SECONDS + 1):
        reading = {0: Reading(now, None, None), 1: Reading(7, None, None)}
        told = stalls.look(Standing(joined=True, reading=reading, writing={}), Answer({0: 99, 1: 99}, True, True), now)

    assert told == ["partition 1 brings nothing (at offset 7)"]


def test_stall_when_the_process_was_halted() -> None:
    """Time without a look does not count: who was stopped, or blocked, for hours has all its time when it wakes."""
    looks = [(now, FETCH_BRINGS_NOTHING, MORE) for now in (0, LONG_SECONDS)]
    woken = LONG_SECONDS + 1

    told = told_after([*looks, *each_second(FETCH_BRINGS_NOTHING, MORE, woken, 2 * woken)])

    assert told == LONG_SECONDS + STALL_SECONDS - LONGEST_STEP_SECONDS


def test_stall_when_kafka_was_away() -> None:
    """The time begins anew when Kafka answers again, for only then could anything move."""
    looks = [
        *each_second(FETCH_BRINGS_NOTHING, MORE, 0, 29),
        *each_second(FETCH_BRINGS_NOTHING, SILENCE, 29, 60),
        *each_second(FETCH_BRINGS_NOTHING, MORE, 60),
    ]

    assert told_after(looks) == 60 + STALL_SECONDS


def test_stall_when_the_end_of_the_log_holds_no_record() -> None:
    """Markers of transactions bring nothing: all is well as long as fetches up to the end are answered."""

    def seen(known_end: int, *, answers: bool) -> Iterable[tuple[float, Standing, Answer]]:
        for now in range(LONG_SECONDS):
            reading = {0: Reading(5, known_end, now if answers else 0)}
            yield now, Standing(joined=True, reading=reading, writing={}), MORE

    assert told_after(seen(8, answers=True)) is None
    assert told_after(seen(8, answers=False)) == STALL_SECONDS
    assert told_after(seen(5, answers=True)) == STALL_SECONDS


def test_stall_when_sessions_are_long() -> None:
    """Joining may take as long as a rebalance can, where sessions are longer than usual."""
    assert told_after(each_second(NEVER_JOINED, MORE), session_seconds=300) == SESSIONS * 300
