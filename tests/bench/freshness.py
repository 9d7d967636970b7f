"""How long it takes from a POST until an analyst's query finds the event, also where there are many typed tables."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp

from tests.bench.figures import percentile
from tests.bench.load import Target, purchase, send
from tests.services import eventually
from tests.stack import Stack

POLL_SECONDS = 0.05
DRAIN_SECONDS = 30
TYPED_TABLES = 50
SCHEMA = {
    "type": "record",
    "name": "Purchase",
    "fields": [
        {"name": name, "type": ["null", of], "default": None}
        for name, of in (("revenue", "double"), ("shippingMethod", "string"), ("number", "long"))
    ],
}


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds from the first byte of a POST to the answer that shows its row, over all events of one run."""

    events: int
    p50: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True)
class Typed:
    """What TYPED_TABLES at once cost.

    Attributes:
        freshness: until the event is in its typed table too.
        inserts: per second, into the table that had the most.
    """

    freshness: Freshness
    inserts: float


async def make_typed_tables(stack: Stack, warm_up_seconds: int = 10) -> None:
    """Register a schema for each of TYPED_TABLES names, and let events through until all goes evenly."""
    await _register(stack)

    async def all_there() -> bool:
        tables = await _ask(
            stack, "SELECT count() FROM system.tables WHERE database = 'demo' AND name LIKE 'typed\\_%'"
        )
        return int(tables) >= TYPED_TABLES

    await eventually(all_there, "the typed tables", DRAIN_SECONDS)
    await measure(stack, seconds=warm_up_seconds, body=_typed)


async def measure_typed(stack: Stack, seconds: int = 20) -> Typed:
    """The same with events of those names in turn."""
    begun = time.time()
    # A row of demo.events comes after that of the typed table.
    freshness = await measure(stack, seconds=seconds, body=_typed)
    inserts = await _ask(stack, _most_inserts(begun, begun + seconds))
    return Typed(freshness, float(inserts) / seconds)


async def measure(
    stack: Stack, per_second: int = 500, seconds: int = 20, body: Callable[[int], bytes] = purchase
) -> Freshness:
    """Post at a steady rate while one analyst polls for new rows."""
    count = per_second * seconds
    seen: dict[str, float] = {}
    async with aiohttp.ClientSession() as analyst:
        polling = asyncio.create_task(_poll(analyst, stack.env["CLICKHOUSE_URL"], seen))
        sent = await send(Target(stack.env["EVENTS_API_URL"], stack.env["EVENTS_TOKEN"]), count, per_second, body)

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


def _typed(number: int) -> bytes:
    return purchase(number, b"Typed %d" % (number % TYPED_TABLES))


async def _register(stack: Stack) -> None:
    """The schema of each name; a second time this changes nothing."""
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth(stack.env["EVENTS_TOKEN"])) as registry:
        for number in range(TYPED_TABLES):
            subject = quote(f"demo.Typed {number}")
            url = f"{stack.env['CONSOLE_URL']}/registry/subjects/{subject}/versions"
            async with registry.post(url, json={"schema": json.dumps(SCHEMA)}) as answer:
                answer.raise_for_status()


def _most_inserts(begun: float, ended: float) -> str:
    """Asks how many inserts the table got that got the most; each insert has a time of its own."""
    tables = " UNION ALL ".join(
        f"SELECT uniqExact(_raw_partition, inserted_at) AS inserts FROM demo.typed_{number} "
        f"WHERE inserted_at BETWEEN {begun} AND {ended}"
        for number in range(TYPED_TABLES)
    )
    return f"SELECT max(inserts) FROM ({tables})"


async def _ask(stack: Stack, query: str) -> str:
    async with aiohttp.ClientSession() as analyst, analyst.post(stack.env["CLICKHOUSE_URL"], data=query) as answer:
        answer.raise_for_status()
        return (await answer.text()).strip()
