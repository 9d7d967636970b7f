"""Records into the raw topic: the only module that knows aiokafka.

Each partition has a lane: one batch in flight, and everything that arrives meanwhile shares the next one.  So the
order of a partition is the order of `publish`, throughput grows with load, and a request waits once per partition, not
once per record.
Invariant: a flush counts as acknowledged only when all in-sync replicas have its records (acks=all, idempotent).
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingress.backoff import pause_seconds
from ingress.envelope import RawRecord
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.settings import KafkaSettings
from schemas.topics import MAX_RECORD_BYTES, partition_for

REQUEST_SECONDS = 10
CONNECT_SECONDS = 30
FLUSH_SECONDS = 5

_log = get_logger(__name__)


class ProducerFailed(Exception):
    """Kafka refused a batch for good.  The process must end: what follows would leave a gap in the sequence."""


class Flush:
    """Records of one partition that share a batch, and the requests that wait for it."""

    __slots__ = ("_loop", "_timer", "_waiters", "batch", "bytes")

    def __init__(self, kafka: AIOKafkaProducer) -> None:
        self.batch = kafka.create_batch()
        self.bytes = 0
        self._loop = asyncio.get_running_loop()
        self._waiters: deque[tuple[float, asyncio.Future[Unavailable | None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def append(self, record: RawRecord) -> int:
        """Add a record and return its size; 0 where the batch is full or closed."""
        added = self.batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
        if added is None:
            return 0
        self.bytes += added.size
        size: int = added.size
        return size

    def outcome(self, seconds: float) -> asyncio.Future[Unavailable | None]:
        """None when Kafka has the batch, or, after so long at most, why that is not known.

        To be called without a pause after `Producer.publish`.  One timer serves all who wait: asyncio.wait and
        asyncio.timeout cost more per request than all the rest of it.
        """
        expires_at = self._loop.time() + seconds
        waiter: asyncio.Future[Unavailable | None] = self._loop.create_future()
        self._waiters.append((expires_at, waiter))
        if self._timer is None:
            self._timer = self._loop.call_at(expires_at, self._expire)
        return waiter

    def settle(self, outcome: Unavailable | None) -> None:
        """Tell all who still wait."""
        if self._timer:
            self._timer.cancel()
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(outcome)
        self._waiters.clear()

    def _expire(self) -> None:
        now = self._loop.time()
        late = Unavailable("Kafka has not acknowledged the event in time: send it again with the same id.")
        while self._waiters and self._waiters[0][0] <= now:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(late)
        self._timer = self._loop.call_at(self._waiters[0][0], self._expire) if self._waiters else None


class Lane:
    """One partition's way into Kafka."""

    def __init__(
        self,
        kafka: AIOKafkaProducer,
        topic: str,
        partition: int,
        max_bytes: int,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._partition = partition
        self._max_bytes = max_bytes
        self._on_failure = on_failure
        self._waiting: deque[Flush] = deque()
        self._refused: Unavailable | None = None
        self.sending: asyncio.Task[None] | None = None
        self.pending_bytes = 0

    def add(self, record: RawRecord) -> Flush:
        """Put a record behind all others, and return what it goes out with.

        Raises:
            Unavailable: where too much waits already.
        """
        if self._refused:
            raise self._refused
        if self.pending_bytes >= self._max_bytes:
            raise Unavailable("Too much waits for Kafka already: send the event again with the same id.")
        flush = self._waiting[-1] if self._waiting else self._open()
        if not (size := flush.append(record)):
            flush = self._open()
            size = flush.append(record)
        self.pending_bytes += size
        # The task starts in the next round of the event loop: what arrives in this one shares its first batch.
        if self.sending is None:
            self.sending = asyncio.get_running_loop().create_task(self._send_waiting())
            self.sending.add_done_callback(self._ended)
        return flush

    def _open(self) -> Flush:
        flush = Flush(self._kafka)
        self._waiting.append(flush)
        return flush

    async def _send_waiting(self) -> None:
        """Send batch after batch, each when the one before is acknowledged."""
        while self._waiting:
            # It stays first until it is acknowledged; it is closed, so that what arrives now opens the next one.
            flush = self._waiting[0]
            flush.batch.close()
            try:
                await (await self._submit(flush))
            except KafkaError as error:
                raise ProducerFailed(f"Kafka refused a batch of {self._topic}/{self._partition}: {error!r}") from error
            self._waiting.popleft()
            self.pending_bytes -= flush.bytes
            flush.settle(None)
        self.sending = None

    def _ended(self, sending: asyncio.Task[None]) -> None:
        if sending.cancelled() or not (error := sending.exception()):
            return
        # Nothing may follow what was refused, or the partition would have a gap.
        self._refused = Unavailable("Kafka refused a batch, and the ingress starts anew: send the event again.")
        while self._waiting:
            self._waiting.popleft().settle(self._refused)
        self._on_failure(error)

    async def _submit(self, flush: Flush) -> asyncio.Future[object]:
        """Hand the batch to aiokafka, which then sends it until it succeeds or is refused for good."""
        failures = 0
        while True:
            try:
                submitted: asyncio.Future[object] = await self._kafka.send_batch(
                    flush.batch, self._topic, partition=self._partition
                )
            except KafkaError as error:
                if not error.retriable:
                    raise
                # Nothing was handed over yet: the topic is unknown for the moment.
                _log.warning("batch_not_submitted", partition=self._partition, reason=repr(error))
                failures += 1
                await asyncio.sleep(pause_seconds(failures))
            else:
                return submitted


class Producer:
    """The lanes of all partitions, once Kafka has been reached."""

    def __init__(self, settings: KafkaSettings, max_pending_bytes: int) -> None:
        self._settings = settings
        self._topic = settings.topics.raw
        self._max_pending_bytes = max_pending_bytes
        self._kafka: AIOKafkaProducer | None = None
        self._lanes: list[Lane] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def connected(self) -> bool:
        """Whether Kafka has been reached and the raw topic's partitions are known."""
        return bool(self._lanes)

    def pending_bytes(self) -> int:
        """What waits for Kafka's acknowledgement."""
        return sum(lane.pending_bytes for lane in self._lanes)

    def publish(self, record: RawRecord) -> Flush:
        """Put a record behind all others of its partition; `Flush.outcome` tells what became of it.

        Raises:
            Unavailable: where Kafka was not reached yet, or too much waits for it.
        """
        if not self._lanes:
            raise Unavailable("Kafka has not been reached yet: send the event again with the same id.")
        return self._lanes[partition_for(record.key, len(self._lanes))].add(record)

    async def run(self) -> None:
        """Connect, however long it takes, then watch over the lanes.

        Raises:
            ProducerFailed: where Kafka refused a batch for good.
        """
        failures = 0
        while not self._lanes:
            try:
                await self._connect()
            except Unavailable as error:
                failures += 1
                _log.warning("kafka_not_reached", servers=self._settings.kafka_bootstrap_servers, reason=str(error))
                await asyncio.sleep(pause_seconds(failures))
        _log.info("kafka_connected", topic=self._topic, partitions=len(self._lanes))
        await self._failed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Send what waits, for FLUSH_SECONDS at most, and leave Kafka."""
        if self._kafka is None:
            return
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                sending = [lane.sending for lane in self._lanes if lane.sending]
                await asyncio.gather(*sending, return_exceptions=True)
                await self._kafka.stop()
        except TimeoutError:
            # Nothing acknowledged is lost: who sent these was answered with 503, or is cut off now.
            _log.warning("not_flushed", pending_bytes=self.pending_bytes())

    async def _connect(self) -> None:
        kafka = AIOKafkaProducer(
            **self._settings.kafka_options(),
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=0,
            max_batch_size=MAX_RECORD_BYTES,
            max_request_size=2 * MAX_RECORD_BYTES,
            request_timeout_ms=REQUEST_SECONDS * 1000,
        )
        # A batch whose partition has no leader for request_timeout_ms would be dropped after its sequence number was
        # taken, and Kafka would refuse all that follow.  There is no option for this.
        kafka._message_accumulator._batch_ttl = math.inf  # noqa: SLF001 - as said
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await kafka.start()
                partitions = await kafka.partitions_for(self._topic)
            self._kafka = kafka
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(f"{self._topic}: {error!r}") from error
        finally:
            if self._kafka is None:
                await kafka.stop()
        # Read once: when partitions are added, the ingress has to be started anew to use them.
        share = self._max_pending_bytes // len(partitions)
        self._lanes = [Lane(kafka, self._topic, number, share, self._fail) for number in sorted(partitions)]

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
