"""Finds a process that stands still although Kafka answers and has more for it.

Pure.  Consumers are known to stop for good without an error (aiokafka#847, aiokafka#1154); only a new process helps.
Only time that was looked at counts, and only where Kafka answered: so neither a process that was halted, or whose loop
was blocked, nor one that waits for a broker that is away stands still.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

LOOK_SECONDS = 1.0
# What counts of the time between two looks, however long it was: a look waits for its answer.
LONGEST_STEP_SECONDS = 2.0
# A rebalance waits one session for members that died and one for those that are slow, and another may follow at once.
SESSIONS = 3
NOT_JOINED = "the group is not joined"


class Reading(NamedTuple):
    """Where a partition is read that would take more.

    Attributes:
        offset: of the next record.
        known_end: the end of its log as the last answer to a fetch told it.
        answered_at: when that answer came, by whatever clock.
    """

    offset: int
    known_end: int | None
    answered_at: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a process stands.  What waits for anything but Kafka, such as ClickHouse, is left out.

    Attributes:
        joined: whether the group has told it its partitions, be they none.
        reading: the partitions that would take records.
        writing: what waits for Kafka to take it, by name, with the offset that it stands at.
    """

    joined: bool
    reading: Mapping[int, Reading]
    writing: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What Kafka says itself, over other connections than those that may hang.

    Attributes:
        ends: the end of each partition's log whose leader answers.
        group: whether the coordinator of the group answers.
        whole: whether all replicas of the topics that are written to are in sync, so that nothing need wait for one.
    """

    ends: Mapping[int, int]
    group: bool
    whole: bool


SILENCE = Answer({}, group=False, whole=False)


class Stalls:
    """Told again and again where one process stands.

    Args:
        stall_seconds: how long anything may stand still.
        session_seconds: the group's session time-out; the group may take SESSIONS times as long where that is more.
    """

    def __init__(self, stall_seconds: float, session_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._rejoin_seconds = max(stall_seconds, SESSIONS * session_seconds)
        self._looked_at: float | None = None
        self._stood: dict[str, tuple[str, float]] = {}

    def look(self, standing: Standing, answer: Answer, now: float) -> list[str]:
        """What has stood still for too long, in words; what could not move at this look begins anew."""
        step = 0.0 if self._looked_at is None else min(now - self._looked_at, LONGEST_STEP_SECONDS)
        self._looked_at = now
        stood = {}
        for name, mark in _could_move(standing, answer).items():
            was, seconds = self._stood.get(name, ("", 0.0))
            stood[name] = (mark, seconds + step if was == mark else 0.0)
        self._stood = stood
        return [
            f"{name} ({mark})"
            for name, (mark, seconds) in stood.items()
            if seconds >= (self._rejoin_seconds if name == NOT_JOINED else self._stall_seconds)
        ]


def _could_move(standing: Standing, answer: Answer) -> dict[str, str]:
    """By name, everything that Kafka would let move on, with a mark that changes when it does."""
    if not standing.joined:
        return {NOT_JOINED: "its coordinator answers"} if answer.group else {}
    marks = {
        f"partition {partition} brings nothing": _mark(reading, answer.ends[partition])
        for partition, reading in standing.reading.items()
        if reading.offset < answer.ends.get(partition, 0)
    }
    if answer.group and answer.whole:
        marks |= {f"{name} waits for Kafka": f"at offset {offset}" for name, offset in standing.writing.items()}
    return marks


def _mark(reading: Reading, end: int) -> str:
    if reading.known_end is None or reading.known_end < end:
        return f"at offset {reading.offset}"
    # Offsets without a record, such as the markers of transactions, bring nothing, but the answers to fetches go on.
    return f"at offset {reading.offset}, answered at {reading.answered_at}"
