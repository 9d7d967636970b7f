"""Events per second of the stream, of a plain aiokafka loop, and of stock Faust, in turn and on the same Kafka.

A rate is taken from the output: the records after the first, by the time between the first and the last of them, as
their producers stamped them.  So the start of a process costs none of the three anything.
"""

import asyncio
import sys
import tempfile
import uuid
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.topics import create_topics
from schemas import events
from schemas.settings import KafkaSettings
from schemas.topics import EVENT_ID, FORMAT, RECEIVED_AT, TEAM, TOKEN_ID
from tests.bench.figures import Comparison
from tests.bench.load import purchase
from tests.services import PARTITIONS, eventually, free_port, process

PLAIN_TARGET = 1.0
STOCK_TARGET = 12.0
SECONDS = 120
# Stock Faust is so slow that fewer records tell as much.
STOCK_SHARE = 8


async def compare_stream(bootstrap_servers: str, records: int = 200_000, repetitions: int = 3) -> list[Comparison]:
    """Measure all three in each repetition; `records` are spread over PARTITIONS."""
    ours, plain, stock = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        rival = [sys.executable, "-m", "tests.bench.rivals_stream"]
        for _ in range(repetitions):
            plain.append(await _rate(bootstrap_servers, [*rival, "plain"], records, Path(folder)))
            ours.append(await _rate(bootstrap_servers, [sys.executable, "-m", "stream"], records, Path(folder)))
            stock.append(
                await _rate(bootstrap_servers, [*rival, "faust", folder], records // STOCK_SHARE, Path(folder))
            )
    return [
        Comparison("stream", "plain aiokafka loop, batches", ours, plain, PLAIN_TARGET),
        Comparison("stream", "stock Faust, one event at a time", ours, stock, STOCK_TARGET),
    ]


async def load_raw(kafka: KafkaSettings, records: int, partitions: int = PARTITIONS) -> None:
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
        await producer.send(kafka.topics.raw, purchase(number), key, number % partitions, headers=headers)
    await producer.stop()


async def _rate(bootstrap_servers: str, command: list[str], records: int, folder: Path) -> float:
    prefix = f"bench{uuid.uuid4().hex[:8]}."
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=prefix)
    await create_topics(kafka, PARTITIONS)
    await load_raw(kafka, records)
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
