"""How long a flush waits for more, and where events go that may go anywhere."""

import asyncio

import pytest

from ingress.flush import FILL_ROUNDS, Flush
from ingress.sticky import next_partition


@pytest.mark.parametrize(("busy_rounds", "filled_rounds"), [(0, 0), (2, 2), (1_000, FILL_ROUNDS)])
async def test_fill_when_rounds_bring_more(busy_rounds: int, filled_rounds: int) -> None:
    """It waits as long as each round of the event loop brings something, and not for ever."""
    loop, flush = asyncio.get_running_loop(), Flush()

    def bring(left: int) -> None:
        flush.bytes += 1
        if left > 1:
            loop.call_soon(bring, left - 1)

    if busy_rounds:
        loop.call_soon(bring, busy_rounds)
    await flush.fill()

    assert flush.bytes == filled_rounds


def test_next_partition_when_all_are_alike() -> None:
    """They take turns."""
    assert [next_partition(last, [0, 0, 0]) for last in (0, 1, 2)] == [1, 2, 0]


def test_next_partition_when_one_does_not_get_on() -> None:
    """The one for which most waits is left out."""
    assert [next_partition(last, [0, 9, 0]) for last in (0, 1, 2)] == [2, 2, 0]
