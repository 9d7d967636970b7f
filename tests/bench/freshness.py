"""How long it takes from a POST until an analyst's query finds the event."""

import asyncio
import time
from dataclasses import dataclass

import aiohttp

from tests.bench.figures import percentile
from tests.bench.load import Target, send
from tests.services import eventually
from tests.stack import Stack

POLL_SECONDS = 0.05
DRAIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds from the first byte of a POST to the answer that shows its row, over all events of one run."""

    events: int
    p50: float
    p99: float
    longest: float


async def measure(stack: Stack, per_second: int = 500, seconds: int = 20) -> Freshness:
    """Post at a steady rate while one analyst polls for new rows."""
    count = per_second * seconds
    seen: dict[str, float] = {}
    async with aiohttp.ClientSession() as analyst:
        polling = asyncio.create_task(_poll(analyst, stack.env["CLICKHOUSE_URL"], seen))
        sent = await send(Target(stack.env["EVENTS_API_URL"], stack.env["EVENTS_TOKEN"]), count, per_second)

        async def all_seen() -> bool:
            return all(event.event_id in seen for event in sent)

        await eventually(all_seen, "every event is found", DRAIN_SECONDS)
        polling.cancel()
    ages = [seen[event.event_id] - event.started for event in sent]
    return Freshness(count, percentile(ages, 0.5), percentile(ages, 0.99), max(ages))


async def _poll(analyst: aiohttp.ClientSession, url: str, seen: dict[str, float]) -> None:
    """Note when each event id is first found; every answer reaches a little further back than the last one."""
    while True:
        query = "SELECT event_id FROM demo.events WHERE inserted_at > now64(6) - INTERVAL 3 SECOND FORMAT TSV"
        async with analyst.post(url, data=query) as answer:
            found, now = (await answer.text()).split(), time.time()
        for event_id in found:
            seen.setdefault(event_id, now)
        await asyncio.sleep(POLL_SECONDS)
