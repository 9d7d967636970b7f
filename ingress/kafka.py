"""The raw topic: the only module that knows aiokafka.

Invariant: what `send` returns from, all in-sync replicas have (acks=all, idempotent).
"""

import asyncio
import math
from collections.abc import Iterable, Iterator
from typing import Protocol, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingress.backoff import pause_seconds
from ingress.envelope import RawRecord
from schemas.compressing import fast_lz4
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.settings import KafkaSettings
from schemas.topics import MAX_RECORD_BYTES

REQUEST_SECONDS = 10
CONNECT_SECONDS = 30

_log = get_logger(__name__)


class ProducerFailed(Exception):
    """Kafka refused a batch for good.  The process must end: what follows would leave a gap in the sequence."""


class Batch(Protocol):
    """Records in Kafka's own form, to be sent as one."""

    def close(self) -> None:
        """Take nothing more."""


def append(batch: Batch, record: RawRecord) -> int:
    """Add a record and return its size in bytes; 0 where the batch is full or closed."""
    added = batch.append(  # type: ignore[attr-defined]  # aiokafka's, which is untyped
        timestamp=None, key=record.key, value=record.value, headers=record.headers
    )
    if added is None:
        return 0
    size: int = added.size
    return size


class RawTopic:
    """The raw topic of a Kafka that has been reached.

    Attributes:
        partitions: how many it has.  Read once: when some are added, the ingress has to be started anew to use them.
    """

    def __init__(self, kafka: AIOKafkaProducer, name: str, partitions: int) -> None:
        self._kafka = kafka
        self.name = name
        self.partitions = partitions

    @classmethod
    async def connect(cls, settings: KafkaSettings) -> Self:
        """Reach Kafka.

        Raises:
            Unavailable: where Kafka does not answer, or does not have the topic.
        """
        kafka, name = _producer(settings), settings.topics.raw
        reached = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await kafka.start()
                reached = cls(kafka, name, len(await kafka.partitions_for(name)))
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(f"{name}: {error!r}") from error
        finally:
            if reached is None:
                await kafka.stop()
        return reached

    def open_batch(self) -> Batch:
        """A batch without records."""
        batch: Batch = self._kafka.create_batch()
        return batch

    def batches(self, records: Iterable[RawRecord]) -> Iterator[Batch]:
        """These records in order, in as few batches as hold them."""
        batch = self.open_batch()
        for record in records:
            if not append(batch, record):
                yield batch
                batch = self.open_batch()
                append(batch, record)
        yield batch

    async def send(self, batch: Batch, partition: int) -> None:
        """Send until it is acknowledged, however long that takes; one batch of a partition at a time.

        Raises:
            ProducerFailed: where Kafka refuses it for good.
        """
        batch.close()
        try:
            await (await self._submit(batch, partition))
        except KafkaError as error:
            raise ProducerFailed(f"Kafka refused a batch of {self.name}/{partition}: {error!r}") from error

    async def stop(self) -> None:
        """Leave Kafka."""
        await self._kafka.stop()

    async def _submit(self, batch: Batch, partition: int) -> asyncio.Future[object]:
        """Hand the batch to aiokafka, which then sends it until it succeeds or is refused for good."""
        failures = 0
        while True:
            try:
                submitted: asyncio.Future[object] = await self._kafka.send_batch(batch, self.name, partition=partition)
            except KafkaError as error:
                if not error.retriable:
                    raise
                # Nothing was handed over yet: the topic is unknown for the moment.
                _log.warning("batch_not_submitted", partition=partition, reason=repr(error))
                failures += 1
                await asyncio.sleep(pause_seconds(failures))
            else:
                return submitted


def _producer(settings: KafkaSettings) -> AIOKafkaProducer:
    kafka = AIOKafkaProducer(
        **settings.kafka_options(),
        acks="all",
        enable_idempotence=True,
        compression_type=fast_lz4(),
        linger_ms=0,
        max_batch_size=MAX_RECORD_BYTES,
        max_request_size=2 * MAX_RECORD_BYTES,
        request_timeout_ms=REQUEST_SECONDS * 1000,
    )
    # A batch whose partition has no leader for request_timeout_ms would be dropped after its sequence number was
    # taken, and Kafka would refuse all that follow.  There is no option for this.
    kafka._message_accumulator._batch_ttl = math.inf  # noqa: SLF001 - as said
    return kafka
