"""Runs into Kafka, batch by batch.

Invariant: `send` returns only when all in-sync replicas have every record of it (acks=all, idempotent), and a batch is
handed over only when the one before it was acknowledged.  So what lies in an output partition is always a beginning of
what was to be written there, whatever dies when.
"""

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.compressing import fast_lz4
from schemas.errors import Unavailable
from schemas.settings import KafkaSettings
from schemas.topics import MAX_RECORD_BYTES
from stream.records import Record

CONNECT_SECONDS = 30
# aiokafka asks again and again for a topic that it does not see.
METADATA_SECONDS = 10


class SendFailed(Exception):
    """Kafka refused a batch for good.  The process must end: what follows would leave a gap."""


class TopicMissing(Exception):
    """The topic does not exist, or may not be seen."""


class Batch(Protocol):
    """What is used of aiokafka's BatchBuilder."""

    def append(self, *, timestamp: None, key: bytes | None, value: bytes | None, headers: Sequence[object]) -> object:
        """Add a record; None where it no longer fits.  A first record always fits."""

    def close(self) -> None:
        """Take no more."""


class Producer:
    """A connected producer; made by `connect`."""

    def __init__(self, kafka: AIOKafkaProducer) -> None:
        self._kafka = kafka

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has.

        Raises:
            TopicMissing: where Kafka does not know it.
        """
        try:
            async with asyncio.timeout(METADATA_SECONDS):
                return len(await self._kafka.partitions_for(topic))
        except (KafkaError, TimeoutError) as error:
            raise TopicMissing(topic) from error

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Produce all records in order; while Kafka is away this waits.

        Raises:
            SendFailed: where Kafka refuses them.
        """
        try:
            for batch in self._batches(records):
                delivered: asyncio.Future[object] = await self._kafka.send_batch(batch, topic, partition=partition)
                await delivered
        except KafkaError as error:
            raise SendFailed(f"Kafka refused a batch of {topic}/{partition}: {error!r}") from error

    async def stop(self) -> None:
        """Leave Kafka."""
        await self._kafka.stop()

    def _batches(self, records: Sequence[Record]) -> Iterator[Batch]:
        """Closed batches; the next one is begun when the one before has been taken."""
        batch: Batch | None = None
        for key, value, headers in records:
            if batch is None:
                batch = self._kafka.create_batch()
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                batch.close()
                yield batch
                batch = self._kafka.create_batch()
                batch.append(timestamp=None, key=key, value=value, headers=headers)
        if batch is not None:
            batch.close()
            yield batch


async def connect(settings: KafkaSettings) -> Producer:
    """Connect once.

    Raises:
        Unavailable: where Kafka cannot be reached.
    """
    kafka = AIOKafkaProducer(
        **settings.kafka_options(),
        acks="all",
        enable_idempotence=True,
        compression_type=fast_lz4(),
        max_batch_size=MAX_RECORD_BYTES,
        max_request_size=2 * MAX_RECORD_BYTES,
    )
    # A batch whose partition has no leader for request_timeout_ms would be dropped after its sequence number was taken,
    # and Kafka would refuse all that follow.  There is no option for this.
    kafka._message_accumulator._batch_ttl = math.inf  # noqa: SLF001 - as said
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await kafka.start()
    except (KafkaError, TimeoutError, OSError) as error:
        await kafka.stop()
        raise Unavailable(f"{settings.kafka_bootstrap_servers}: {error!r}") from error
    return Producer(kafka)
