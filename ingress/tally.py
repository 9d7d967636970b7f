"""What the event loop brings in one of its rounds, counted together: a metric costs about as much as parsing an event.

A flush answers dozens of requests in one round.  What was told in it reaches the metrics at its end.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from prometheus_client import Histogram

T = TypeVar("T")


class Tally(Generic[T]):
    """Calls `count` once for all that was added in one round of the event loop."""

    __slots__ = ("_added", "_count")

    def __init__(self, count: Callable[[list[T]], None]) -> None:
        self._count = count
        self._added: list[T] = []

    def add(self, one: T) -> None:
        """Have it counted at the end of this round."""
        if not self._added:
            asyncio.get_running_loop().call_soon(self._count_added)
        self._added.append(one)

    def _count_added(self) -> None:
        added, self._added = self._added, []
        self._count(added)


def observe_all(histogram: Histogram, amounts: Sequence[float]) -> None:
    """`Histogram.observe` with each of these, for the price of one a bucket; prometheus-client has no such call."""
    buckets = Counter(bisect_left(histogram._upper_bounds, amount) for amount in amounts)  # noqa: SLF001 - as said
    for bucket, count in buckets.items():
        histogram._buckets[bucket].inc(count)  # noqa: SLF001
    histogram._sum.inc(sum(amounts))  # noqa: SLF001
