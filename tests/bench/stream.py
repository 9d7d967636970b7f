"""Events per second of the stream, of a plain aiokafka loop, and of stock Faust, in turn and on the same Kafka.

And of the stream with a schema of 20 fields and without one.
A rate is taken from the output: the records after the first, by the time between the first and the last of them, as
their producers stamped them.  So the start of a process costs none of the three anything.
"""

import asyncio
import sys
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.topics import create_topics
from schemas import events
from schemas.registered import Version
from schemas.settings import KafkaSettings
from schemas.topics import EVENT_ID, FORMAT, RECEIVED_AT, TEAM, TOKEN_ID
from tests.bench.figures import Comparison
from tests.bench.load import purchase
from tests.services import PARTITIONS, eventually, free_port, process
from tests.typed import publish, version

PLAIN_TARGET = 1.0
STOCK_TARGET = 12.0
TYPED_TARGET = 0.6
SECONDS = 120
STREAM = [sys.executable, "-m", "stream"]
# Larger records.
WIDE_SHARE = 2
# Stock Faust is so slow that fewer records tell as much.
STOCK_SHARE = 8
WIDE_PROPERTIES: dict[str, object] = {
    "revenue": "39.95",
    "order_id": "o-1001",
    "quantity": 3,
    "total": 119.85,
    "paid": True,
    "currency": "EUR",
    "at": "2026-11-24T10:00:00.123Z",
    "sent_ms": 1795514400123,
    "checkout": "0bfd71c7-1b26-4048-81db-ee67e1edb90f",
    "tax": 7.6,
    "city": "Berlin",
    "country": "DE",
    "sku": "A-100",
    "page": 2,
    "discount": 0.5,
    "coupon": "WINTER",
    "day": "2026-11-24",
    "items": ["a", "b"],
    "position": 17,
    "referrer": "https://shop.example/start",
}
_TYPES: dict[str, object] = {
    "revenue": "double",
    "quantity": "long",
    "total": "double",
    "paid": "boolean",
    "currency": {"type": "enum", "name": "Currency", "symbols": ["EUR", "USD"]},
    "at": {"type": "long", "logicalType": "timestamp-micros"},
    "sent_ms": {"type": "long", "logicalType": "timestamp-millis"},
    "checkout": {"type": "string", "logicalType": "uuid"},
    "tax": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
    "page": "int",
    "discount": "double",
    "day": {"type": "int", "logicalType": "date"},
    "items": {"type": "array", "items": "string"},
    "position": "long",
}
WIDE_FIELDS = [
    {"name": name, "type": ["null", _TYPES.get(name, "string")], "default": None} for name in WIDE_PROPERTIES
]


async def compare_stream(bootstrap_servers: str, records: int = 200_000, repetitions: int = 3) -> list[Comparison]:
    """Measure each in each repetition; `records` are spread over PARTITIONS."""
    ours, plain, stock, typed, untyped = [], [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        rival = [sys.executable, "-m", "tests.bench.rivals_stream"]
        measured = partial(_rate, bootstrap_servers, Path(folder))
        for _ in range(repetitions):
            plain.append(await measured([*rival, "plain"], records))
            ours.append(await measured(STREAM, records))
            stock.append(await measured([*rival, "faust", folder], records // STOCK_SHARE))
            typed.append(await measured(STREAM, records // WIDE_SHARE, wide, version("demo", WIDE_FIELDS)))
            untyped.append(await measured(STREAM, records // WIDE_SHARE, wide))
    return [
        Comparison("stream", "plain aiokafka loop, batches", ours, plain, PLAIN_TARGET),
        Comparison("stream", "stock Faust, one event at a time", ours, stock, STOCK_TARGET),
        Comparison("stream, a schema of 20 fields", "the same events without a schema", typed, untyped, TYPED_TARGET),
    ]


def wide(number: int) -> bytes:
    """The body of an event with a member for each of WIDE_FIELDS, all of which fit."""
    properties = msgspec.json.encode(WIDE_PROPERTIES | {"quantity": number % 9})
    return b'{"version":1,"type":"event","event":"Purchased an Item","properties":%b,"userId":"user-%d"}' % (
        properties,
        number % 1000,
    )


async def load_raw(
    kafka: KafkaSettings, records: int, partitions: int = PARTITIONS, body: Callable[[int], bytes] = purchase
) -> None:
    """Put valid raw records into the raw topic, the same number into each partition."""
    producer = AIOKafkaProducer(**kafka.kafka_options(), compression_type="lz4", max_batch_size=256 << 10, linger_ms=5)
    await producer.start()
    for number in range(records):
        headers = [
            (EVENT_ID, str(uuid.UUID(int=number)).encode()),
            (TEAM, b"demo"),
            (TOKEN_ID, b"1"),
            (FORMAT, events.FORMAT.encode()),
            (RECEIVED_AT, b"2026-11-23T10:00:00.123456Z"),
        ]
        key = b"demo/user-%d" % (number % 1000)
        await producer.send(kafka.topics.raw, body(number), key, number % partitions, headers=headers)
    await producer.stop()


async def _rate(
    bootstrap_servers: str,
    folder: Path,
    command: list[str],
    records: int,
    body: Callable[[int], bytes] = purchase,
    *registered: Version,
) -> float:
    prefix = f"bench{uuid.uuid4().hex[:8]}."
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=prefix)
    await create_topics(kafka, PARTITIONS)
    await publish(kafka, *registered)
    await load_raw(kafka, records, body=body)
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": prefix,
        "STREAM_METRICS_PORT": str(free_port()),
    }
    consumer = AIOKafkaConsumer(**kafka.kafka_options())
    await consumer.start()
    partitions = [TopicPartition(kafka.topics.normalized, number) for number in range(PARTITIONS)]

    async def complete() -> bool:
        await asyncio.sleep(0.25)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return sum(ends.values()) >= records

    try:
        with process(command, folder / "process.log", env):
            await eventually(complete, f"{command} normalizes {records} records", SECONDS)
        return (records - 1) / await _seconds(consumer, partitions)
    finally:
        await consumer.stop()


async def _seconds(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> float:
    """Between the first and the last record of these partitions."""
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    times = []
    for tp in partitions:
        for offset in (0, ends[tp] - 1):
            consumer.seek(tp, offset)
            times.append((await consumer.getone(tp)).timestamp)
    return float(max(times) - min(times)) / 1000
