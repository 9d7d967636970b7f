"""Runs the stream as a process of its own, loads its raw topic, and tells what came out."""

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import ConsumerRecord

from schemas.registered import Version
from schemas.settings import KafkaSettings
from schemas.topics import EVENT_ID, FORMAT, RAW_OFFSET, RECEIVED_AT, TEAM
from tests.services import PARTITIONS, eventually, free_port, process

STREAM = [sys.executable, "-m", "stream"]
BAD_EVERY = 50
SECONDS = 60


def stream(
    kafka: KafkaSettings, log: Path, command: Sequence[str] = STREAM, **env: str
) -> AbstractContextManager[Popen[bytes]]:
    """The stream, or a test's own entry into it, as a process; stopped with SIGTERM at the end."""
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.kafka_bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.kafka_topic_prefix,
        "STREAM_METRICS_PORT": str(free_port()),
        # Small runs, so that a small load is many of them.
        "STREAM_MAX_RUN_RECORDS": "250",
        "LOG_FORMAT": "json",
    }
    return process(list(command), log, settings | env)


@dataclass(frozen=True)
class Outcome:
    """What lies in the outputs: the raw offsets of each partition, in the order of the records."""

    normalized: list[list[int]] = field(default_factory=list)
    dead_letters: list[list[int]] = field(default_factory=list)

    def assert_exact(self, per_partition: int) -> None:
        """Each raw offset is in the output it belongs to; first occurrences come in order and without a gap."""
        bad = list(range(0, per_partition, BAD_EVERY))
        good = [offset for offset in range(per_partition) if offset % BAD_EVERY]
        for offsets in self.normalized:
            assert list(dict.fromkeys(offsets)) == good
        for offsets in self.dead_letters:
            assert list(dict.fromkeys(offsets)) == bad

    def repeats(self) -> int:
        """How many records there are more than once."""
        return sum(len(offsets) - len(set(offsets)) for offsets in self.normalized)


class Broker:
    """What tests ask of Kafka."""

    def __init__(self, kafka: KafkaSettings, producer: AIOKafkaProducer, admin: AIOKafkaAdminClient) -> None:
        self.kafka = kafka
        self.topics = kafka.topics
        self.admin = admin
        self._producer = producer

    async def load(self, per_partition: int, first: int = 0) -> None:
        """Produce raw records, the same number into each partition; every BAD_EVERYth of them is no JSON."""
        for number in range(first, first + per_partition):
            await self._load_row(number)
        await self._producer.flush()

    async def pour(self, per_second: float, enough: asyncio.Event) -> int:
        """Load evenly in time, until it is enough; how many records each partition got."""
        began, count = time.monotonic(), 0
        while not enough.is_set():
            await self._load_row(count)
            count += 1
            await asyncio.sleep(max(0, began + count * PARTITIONS / per_second - time.monotonic()))
        await self._producer.flush()
        return count

    async def _load_row(self, number: int) -> None:
        value = b'{"version":1,"type":"event","event":"e","properties":{"n":%d}}' % number
        for partition in range(PARTITIONS):
            headers = [
                (EVENT_ID, str(uuid.UUID(int=number << 8 | partition)).encode()),
                (TEAM, b"demo"),
                (FORMAT, b"event.v1"),
                (RECEIVED_AT, b"2026-11-23T10:00:00.123456Z"),
            ]
            await self._producer.send(
                self.topics.raw, value if number % BAD_EVERY else b"{", b"demo/%d" % number, partition, headers=headers
            )

    async def produce_raw(
        self,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        garble: tuple[bytes, bytes] | None = None,
        *,
        topic: str | None = None,
    ) -> None:
        """Produce one raw record as somebody else than the ingress might; `garble` exchanges bytes of it on the way.

        With `topic`, a record of another one.
        """
        batch = self._producer.create_batch()
        batch.append(timestamp=None, key=key, value=value, headers=headers)
        batch.close()
        if garble:
            build = batch._build
            batch._build = lambda: _garbled(build(), *garble)
        await (await self._producer.send_batch(batch, topic or self.topics.raw, partition=partition))

    async def publish(self, version: Version) -> None:
        """Publish a version of a schema, as the registry does."""
        await self._producer.send_and_wait(self.topics.schemas, version.encode(), version.key)

    async def commit(self, partition: int, offset: int) -> None:
        """Commit for the stream while it does not run."""
        consumer = AIOKafkaConsumer(
            **self.kafka.kafka_options(), group_id=self.topics.stream_group, enable_auto_commit=False
        )
        await consumer.start()
        tp = TopicPartition(self.topics.raw, partition)
        consumer.assign([tp])
        await consumer.commit({tp: offset})
        await consumer.stop()

    async def ends(self, topic: str) -> list[int]:
        """Per partition the offset of the next record."""
        async with self._consumer() as consumer:
            ends = await consumer.end_offsets(_partitions(topic))
        return [ends[tp] for tp in _partitions(topic)]

    async def committed(self) -> list[int]:
        """Per partition the stream's committed offset, 0 where there is none."""
        try:
            offsets = await self.admin.list_consumer_group_offsets(self.topics.stream_group)
        except GroupCoordinatorNotAvailableError:
            # A new Kafka makes its topic of offsets when it is first asked for one.
            offsets = {}
        return [offsets[tp].offset if tp in offsets else 0 for tp in _partitions(self.topics.raw)]

    async def caught_up(self) -> None:
        """Wait until everything in the raw topic is committed."""

        async def done() -> bool:
            return await self.committed() == await self.ends(self.topics.raw)

        await eventually(done, "the stream commits the end of the raw log", SECONDS)

    async def normalized_reaches(self, count: int) -> None:
        """Wait until so many records are in the normalized topic."""

        async def enough() -> bool:
            return sum(await self.ends(self.topics.normalized)) >= count

        await eventually(enough, f"{count} normalized records", SECONDS)

    async def outcome(self) -> Outcome:
        """Everything in the outputs."""
        return Outcome(
            await self._raw_offsets(self.topics.normalized), await self._raw_offsets(self.topics.dead_letter)
        )

    async def records(self, topic: str) -> list[list[ConsumerRecord]]:
        """All records of each partition."""
        found: list[list[ConsumerRecord]] = [[] for _ in range(PARTITIONS)]
        async with self._consumer() as consumer:
            consumer.assign(_partitions(topic))
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(_partitions(topic))
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                    found[tp.partition] += records
        return found

    async def _raw_offsets(self, topic: str) -> list[list[int]]:
        return [[int(dict(record.headers)[RAW_OFFSET]) for record in part] for part in await self.records(topic)]

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(**self.kafka.kafka_options())
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


@asynccontextmanager
async def broker(kafka: KafkaSettings) -> AsyncIterator[Broker]:
    """Clients of the tests' own."""
    producer = AIOKafkaProducer(**kafka.kafka_options(), acks="all", enable_idempotence=True, linger_ms=5)
    admin = AIOKafkaAdminClient(**kafka.kafka_options())
    await producer.start()
    await admin.start()
    try:
        yield Broker(kafka, producer, admin)
    finally:
        await producer.stop()
        await admin.close()


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in range(PARTITIONS)]


def _garbled(batch: bytes, old: bytes, new: bytes) -> bytes:
    """A record batch with other bytes in it and the checksum that goes with them."""
    changed = batch.replace(old, new)
    checksum_at, checked_from = 17, 21
    checksum: int = calc_crc32c(changed[checked_from:])
    return changed[:checksum_at] + checksum.to_bytes(4, "big") + changed[checked_from:]


def faulty(fault: str) -> list[str]:
    """The command of a stream that has this fault; see `faulty_stream`."""
    return [sys.executable, "-m", "tests.integration.faulty_stream", fault]
