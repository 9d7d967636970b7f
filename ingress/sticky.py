"""Which partition takes the events that may go into any: one for a while, then another.

An event with neither a user nor an id of its sender's has no place of its own.  Spread by chance, a handful of them
make a batch for each partition; together they make one.  Kafka's own producers do that with records that have no key
(KIP-480, "sticky"); ours have the event's id as key, so that is minted to fit (`envelope`).
Pure: what waits is an argument.
"""

from collections.abc import Sequence
from typing import NamedTuple

STICKY_SECONDS = 0.1


class Partition(NamedTuple):
    """One of a topic's partitions, by its number, and how many there are."""

    number: int
    of: int


def next_partition(last: int, waiting: Sequence[int]) -> int:
    """The one for which the fewest bytes wait; of several, the first behind the last one.

    So a partition without a leader, for which all waits, gets no more, and the others take turns.
    """
    partitions = len(waiting)
    return min(range(partitions), key=lambda number: (waiting[number], (number - last - 1) % partitions))
