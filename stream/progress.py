"""Where each partition is: how far its runs were handed out, finished and committed.

Pure.  Invariants: the runs of a partition are finished in the order of their offsets without a hole between them, and
only what is finished can be committed.  Stock Faust has neither (faust-streaming#606, robinhood/faust#604).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream.records import RawRecord

# One in work and one waiting keep a partition busy; more would only hold memory.
RUNS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive records of one partition, fetched together.

    Attributes:
        generation: the group's generation in which it was fetched; in another one its partition may have another owner.
        start: the end of the run before it.  Offsets without a record, between the two, belong to this run.
        end: the offset after its last record.
        fetched_at: seconds of the monotonic clock.
    """

    partition: int
    generation: int
    start: int
    end: int
    records: Sequence[RawRecord]
    fetched_at: float


class RunSkipped(Exception):
    """A run was lost between its fetch and its turn; going on would leave a hole."""


@dataclass(slots=True)
class _Partition:
    handed_out: int
    finished: int
    committed: int
    runs_ahead: int = 0


class Progress:
    """The partitions assigned in one generation of the group."""

    def __init__(self) -> None:
        self.generation = -1
        self._partitions: dict[int, _Partition] = {}

    def restart(self, generation: int, committed: Mapping[int, int]) -> None:
        """Begin a generation: each assigned partition goes on at its committed offset."""
        self.generation = generation
        self._partitions = {number: _Partition(offset, offset, offset) for number, offset in committed.items()}

    def position(self, partition: int) -> int:
        """The offset that the next run handed out begins at."""
        return self._partitions[partition].handed_out

    def finished(self) -> dict[int, int]:
        """Per partition the offset below which everything is done."""
        return {number: partition.finished for number, partition in self._partitions.items()}

    def waits_for_records(self) -> dict[int, int]:
        """Of each partition that has room for a run, the offset that it begins at."""
        return {number: state.handed_out for number, state in self._partitions.items() if self.has_room(number)}

    def waits_for_kafka(self) -> dict[str, int]:
        """What is on its way to Kafka: of each partition's runs the first offset, of its commits the last one made."""
        states = self._partitions.items()
        sending = {f"partition {number}'s run": state.finished for number, state in states if state.runs_ahead}
        committing = {
            f"partition {number}'s commit": state.committed
            for number, state in states
            if state.finished != state.committed
        }
        return sending | committing

    def has_room(self, partition: int) -> bool:
        """Whether another run may be handed out; never of a partition that is not ours."""
        state = self._partitions.get(partition)
        return state is not None and state.runs_ahead < RUNS_AHEAD

    def rewind(self, partition: int, offset: int) -> None:
        """Go on at a smaller offset: the log was made anew."""
        state = self._partitions[partition]
        state.handed_out = state.finished = offset

    def hand_out(self, partition: int, records: Sequence[RawRecord], now: float) -> Run:
        """The run that these records make, behind the one handed out before."""
        state = self._partitions[partition]
        run = Run(partition, self.generation, state.handed_out, records[-1].offset + 1, records, now)
        state.handed_out = run.end
        state.runs_ahead += 1
        return run

    def is_next(self, run: Run) -> bool:
        """Whether it is this run's turn; it never is when its generation has passed.

        Raises:
            RunSkipped: where the run before it was never finished.
        """
        if run.generation != self.generation:
            return False
        state = self._partitions[run.partition]
        if run.start != state.finished:
            raise RunSkipped(f"partition {run.partition}: {state.finished} to {run.start} were fetched, but not done")
        return True

    def finish(self, run: Run) -> None:
        """Everything in the run is acknowledged; of no account when its generation has passed.

        Raises:
            RunSkipped: where the run before it was never finished.
        """
        if self.is_next(run):
            state = self._partitions[run.partition]
            state.finished = run.end
            state.runs_ahead -= 1

    def to_commit(self) -> dict[int, int]:
        """Per partition the finished offset, where it is not the committed one."""
        return {n: state.finished for n, state in self._partitions.items() if state.finished != state.committed}

    def committed(self, offsets: Mapping[int, int], generation: int) -> None:
        """These offsets are committed; of no account when that generation has passed."""
        if generation == self.generation:
            for number, offset in offsets.items():
                self._partitions[number].committed = offset
