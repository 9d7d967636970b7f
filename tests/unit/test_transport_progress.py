"""What may be committed, and when: the bookkeeping under the transport."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.progress import RUNS_AHEAD, Progress, Run, RunSkipped
from stream.records import RawHeaders


@dataclass(frozen=True)
class Raw:
    """A raw record of which only the offset matters."""

    offset: int
    key: bytes | None = None
    value: bytes | None = None
    headers: RawHeaders = ()
    partition: int = 0
    timestamp: int = 0


def progress_at(offset: int, generation: int = 1) -> Progress:
    """Partition 0, assigned at a committed offset."""
    progress = Progress()
    progress.restart(generation, {0: offset})
    return progress


def hand_out(progress: Progress, first: int, end: int) -> Run:
    """Hand out the run of the records first to end - 1 of partition 0."""
    return progress.hand_out(0, [Raw(offset) for offset in range(first, end)], now=0.0)


def test_nothing_is_to_commit_until_a_run_is_finished() -> None:
    """Fetching and handing out leave the committed offset where it is (robinhood/faust#604)."""
    progress = progress_at(100)
    run = hand_out(progress, 100, 200)

    assert progress.to_commit() == {}
    progress.finish(run)
    assert progress.to_commit() == {0: 200}
    progress.committed({0: 200}, generation=1)
    assert progress.to_commit() == {}


def test_a_later_run_cannot_pass_an_unfinished_head() -> None:
    """A run whose predecessor is not finished is refused, so nothing is committed past it (faust-streaming#606)."""
    progress = progress_at(100)
    hand_out(progress, 100, 101)
    later = hand_out(progress, 101, 103)

    with pytest.raises(RunSkipped, match="100 to 101"):
        progress.finish(later)
    assert progress.to_commit() == {}


def test_offsets_without_a_record_count_with_the_run_behind_them() -> None:
    """Where the log has holes the next run covers them, and its end is committed."""
    progress = progress_at(10)
    run = hand_out(progress, 15, 20)

    assert (run.start, run.end) == (10, 20)
    assert progress.is_next(run)
    progress.finish(run)
    assert progress.to_commit() == {0: 20}


def test_a_run_of_a_past_generation_is_of_no_account() -> None:
    """What was begun before a rebalance neither has a turn nor moves what is committed after it."""
    progress = progress_at(100)
    stale = hand_out(progress, 100, 200)
    progress.restart(2, {0: 100, 1: 5})

    assert not progress.is_next(stale)
    progress.finish(stale)
    progress.committed({0: 200}, generation=1)
    assert progress.finished() == {0: 100, 1: 5}
    assert progress.to_commit() == {}


def test_a_partition_has_room_until_enough_runs_are_ahead() -> None:
    """Memory is bounded: so many runs are handed out, the next one when one of them is finished."""
    progress = progress_at(0)
    runs = [hand_out(progress, number, number + 1) for number in range(RUNS_AHEAD)]

    assert not progress.has_room(0)
    progress.finish(runs[0])
    assert progress.has_room(0)
    assert not progress.has_room(7)


def test_a_log_made_anew_goes_on_and_commits_at_the_smaller_offset() -> None:
    """After the topic was made anew the committed offset goes back with it."""
    progress = progress_at(5000)
    progress.rewind(0, 0)

    progress.finish(hand_out(progress, 0, 3))

    assert progress.to_commit() == {0: 3}


@given(steps=st.lists(st.sampled_from(["hand out", "finish", "rebalance"]), max_size=40))
def test_the_committed_offset_is_always_the_end_of_work_done_in_order(steps: list[str]) -> None:
    """Whatever happens in whatever order: every offset below the finished one was finished, each in its turn."""
    progress, generation, ahead, done = progress_at(0), 1, list[Run](), 0
    for step in steps:
        if step == "hand out" and progress.has_room(0):
            first = progress.position(0)
            ahead.append(hand_out(progress, first, first + 3))
        elif step == "finish" and ahead:
            run = ahead.pop(0)
            if progress.is_next(run):
                assert run.start == done
                progress.finish(run)
                done = run.end
        elif step == "rebalance":
            generation += 1
            progress.restart(generation, {0: done})
        assert progress.finished() == {0: done}


def test_what_is_on_its_way_to_kafka_is_told_until_it_is_there() -> None:
    """A run waits from when it is handed out until it is finished, its commit until Kafka has it."""
    progress = progress_at(100)
    run = hand_out(progress, 100, 200)

    assert progress.waits_for_kafka() == {"partition 0's run": 100}
    progress.finish(run)
    assert progress.waits_for_kafka() == {"partition 0's commit": 100}
    progress.committed({0: 200}, generation=1)
    assert progress.waits_for_kafka() == {}


def test_a_partition_waits_for_records_while_it_has_room() -> None:
    """Where it has none, no fetch can be missing."""
    progress = progress_at(0)

    assert progress.waits_for_records() == {0: 0}
    for number in range(RUNS_AHEAD):
        hand_out(progress, number, number + 1)
    assert progress.waits_for_records() == {}
