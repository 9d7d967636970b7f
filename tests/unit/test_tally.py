"""What a round of the event loop brings is counted once, and as if each were counted alone."""

import asyncio

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from ingress.tally import Tally, observe_all


async def test_tally_when_a_round_brings_several() -> None:
    """They are counted together, before anything of the next round."""
    counted = list[list[int]]()
    tally = Tally[int](counted.append)

    for rounds in ([1, 2, 3], [4]):
        for one in rounds:
            tally.add(one)
        await asyncio.sleep(0)

    assert counted == [[1, 2, 3], [4]]


def test_observe_all() -> None:
    """It is what `observe` makes of each, on the bounds of buckets and beyond the last."""
    amounts = [0.5, 1, 1.5, 2, 0, 2.5, 0.5]
    alone, together = CollectorRegistry(), CollectorRegistry()

    one_by_one = Histogram("seconds", "", buckets=(1, 2), registry=alone)
    for amount in amounts:
        one_by_one.observe(amount)
    observe_all(Histogram("seconds", "", buckets=(1, 2), registry=together), amounts)

    def values(registry: CollectorRegistry) -> list[bytes]:
        return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]

    assert values(together) == values(alone)
