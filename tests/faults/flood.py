"""A flood of poison: strangers fill the raw topic with what nobody can normalize, while good events go on."""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable
from itertools import count

import aiohttp
from aiokafka import AIOKafkaProducer

from schemas.events import FORMAT, derive_event_id
from schemas.topics import EVENT_ID, RECEIVED_AT, TEAM, partition_for
from schemas.topics import FORMAT as FORMAT_HEADER
from tests.faults.checker import Violation
from tests.faults.faults import Fault
from tests.faults.ledger import Attempt, Outcome
from tests.faults.load import TIMESTAMP
from tests.faults.pipeline import Pipeline
from tests.faults.progress import EVENTS, goes_on
from tests.services import PARTITIONS, eventually

FLOOD_SECONDS = 15
FLOOD_BATCH = 200
FLOOD_LEAST = 5_000
STORED_SECONDS = 30
POISON: tuple[Callable[[random.Random], bytes], ...] = (
    lambda chance: chance.randbytes(chance.randrange(1, 2_000)),
    lambda _: b"",
    lambda _: b"null",
    lambda chance: b"[" * chance.choice((1, 1_000, 100_000)),
    lambda chance: b'{"version":' * chance.choice((500, 20_000)) + b"1" + b"}" * 20_000,
    lambda _: json.dumps({"version": 1, "type": "event", "event": "x" * 201, "timestamp": TIMESTAMP}).encode(),
    lambda _: json.dumps({"version": 2, "type": "event", "event": "later"}).encode(),
    lambda _: b'{"version": 1, "type": "event", "event": "cut o',
    lambda _: b'{"version": 1, "type": "event", "event": "\xff\xfe"}',
    lambda _: b'{"version": 1, "type": "event", "event": "x", "timestamp": "9999-12-31T23:59:59Z"}',
    lambda _: b'{"version": 1, "type": "event", "event": "x", "properties": [1, 2]}',
)
"""What is wrong with a record's value; its headers are those of the ingress.

Nothing lacks a member: what a schema refuses for that is replayed until it is refused no more.
"""


def flood_faults() -> list[Fault]:
    """To be inflicted on any pipeline."""
    return [Fault("poison flood", _flood)]


async def _flood(pipeline: Pipeline) -> None:
    """Pour poison in for a while; good events are acknowledged and stored meanwhile."""
    flooding = asyncio.create_task(_pour(pipeline))
    stored = await _stored(pipeline)
    await goes_on(pipeline, "poison flood", FLOOD_SECONDS)

    async def more() -> bool:
        return await _stored(pipeline) >= stored + EVENTS

    try:
        await eventually(more, "good events are stored while poison pours in", STORED_SECONDS)
    except TimeoutError as error:
        pipeline.broken.append(Violation("good events go on among poison", str(error)))
    await flooding


async def _pour(pipeline: Pipeline) -> None:
    """Write poison for as long as the flood lasts, and until it is one."""
    chance = random.Random(pipeline.ledger.count(Outcome.OK))  # noqa: S311 - a reproducible flood
    flood = f"{chance.getrandbits(48):012x}"
    ends_at = time.monotonic() + FLOOD_SECONDS
    raw = pipeline.kafka.topics.raw
    options = {"acks": "all", "enable_idempotence": True, "compression_type": "lz4", "max_request_size": 2 << 20}
    async with AIOKafkaProducer(**pipeline.kafka.kafka_options(), **options) as producer:
        for first in count(step=FLOOD_BATCH):
            if time.monotonic() > ends_at and first >= FLOOD_LEAST:
                return
            sent = []
            for number in range(first, first + FLOOD_BATCH):
                attempt, value = _poisoned(chance, flood, number)
                pipeline.ledger.note(attempt)
                key = attempt.key.encode()
                headers = [
                    (EVENT_ID, attempt.event_id.encode()),
                    (TEAM, b"acme"),
                    (RECEIVED_AT, TIMESTAMP.encode()),
                    (FORMAT_HEADER, FORMAT.encode()),
                ]
                partition = partition_for(key, PARTITIONS)
                sent.append(await producer.send(raw, value, key=key, partition=partition, headers=headers))
            await asyncio.gather(*sent)
    raise AssertionError("count() is endless")


def _poisoned(chance: random.Random, flood: str, number: int) -> tuple[Attempt, bytes]:
    value = chance.choice(POISON)(chance)
    event_id = str(derive_event_id("stranger", f"{flood}-{number}"))
    digest = hashlib.sha256(value).hexdigest()
    key = f"stranger/{flood}-{number}"
    return Attempt(event_id, "stranger", key, number, digest, Outcome.OK, poison=True), value


async def _stored(pipeline: Pipeline) -> int:
    """Rows of good events."""
    query = "SELECT count() FROM warehouse.events"
    async with aiohttp.ClientSession() as session, session.post(pipeline.clickhouse_url, data=query) as answer:
        text = await answer.text()
        if answer.status != 200:
            raise RuntimeError(text)
    return int(text)
