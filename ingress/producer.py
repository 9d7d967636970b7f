"""Records into the raw topic: a lane for each of its partitions.

Invariant: a flush counts as acknowledged only when its records are on all in-sync replicas, or synced in the spill.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from ingress.backoff import pause_seconds
from ingress.envelope import RawRecord
from ingress.flush import Flush
from ingress.kafka import RawTopic
from ingress.lane import Lane
from ingress.spill import Spill
from ingress.spilling import Limits, SpillingLane
from ingress.sticky import STICKY_SECONDS, Partition, next_partition
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.metrics import PRODUCER_PENDING_BYTES, SPILL_BYTES, SPILL_RECORDS
from schemas.settings import KafkaSettings
from schemas.topics import partition_for

FLUSH_SECONDS = 5
LEAVE_SECONDS = 1
DISK_THREADS = 4

_log = get_logger(__name__)


class Producer:
    """The lanes of all partitions, as soon as it is known how many there are.

    Kafka tells how many when it has been reached; a spill remembers it, so that events are taken without Kafka, too.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        max_pending_bytes: int,
        spill: Spill | None = None,
        spill_after_seconds: float = 1,
    ) -> None:
        self._settings = settings
        self._max_pending_bytes = max_pending_bytes
        self._spill = spill
        self._spill_after_seconds = spill_after_seconds
        self._topic: RawTopic | None = None
        self._lanes: list[Lane] | list[SpillingLane] = []
        self._loop = asyncio.get_running_loop()
        self._sticky, self._sticky_until = Partition(0, 0), 0.0
        self._failed: asyncio.Future[None] = self._loop.create_future()
        if spill:
            self._disk = ThreadPoolExecutor(DISK_THREADS, "spill")
            self._spilling_lanes: list[SpillingLane] = []
            self._open_spilling(spill, spill.partitions)

    @property
    def connected(self) -> bool:
        """Whether Kafka has been reached once."""
        return self._topic is not None

    @property
    def takes_records(self) -> bool:
        """Whether the raw topic's partitions are known."""
        return bool(self._lanes)

    @property
    def spilling(self) -> bool:
        """Whether new records of some partition go to disk."""
        return any(lane.spilling for lane in self._lanes)

    def pending_bytes(self) -> int:
        """What waits in memory for Kafka's acknowledgement."""
        return sum(lane.pending_bytes for lane in self._lanes)

    def measure(self) -> None:
        """Set the gauges."""
        PRODUCER_PENDING_BYTES.set(self.pending_bytes())
        if self._spill:
            SPILL_BYTES.set(self._spill.bytes)
            SPILL_RECORDS.set(self._spill.records)

    def sticky(self) -> Partition | None:
        """Where a record goes now that may go anywhere; None where the partitions are not known yet."""
        if not self._lanes:
            return None
        now = self._loop.time()
        if now >= self._sticky_until:
            number = next_partition(self._sticky.number, [lane.pending_bytes for lane in self._lanes])
            self._sticky, self._sticky_until = Partition(number, len(self._lanes)), now + STICKY_SECONDS
        return self._sticky

    def publish(self, record: RawRecord) -> Flush:
        """Put a record behind all others of its partition; `Flush.tell` says what became of it.

        Raises:
            Unavailable: where the partitions are not known yet, or too much waits.
        """
        if not self._lanes:
            raise Unavailable("Kafka has not been reached yet: send the event again with the same id.")
        return self._lanes[partition_for(record.key, len(self._lanes))].add(record)

    async def run(self) -> None:
        """Connect, however long it takes, then watch over the lanes.

        Raises:
            ProducerFailed: where Kafka refused a batch for good.
        """
        topic = self._topic = await self._connect()
        _log.info("kafka_connected", topic=topic.name, partitions=topic.partitions)
        if self._spill:
            self._connect_spilling(self._spill, topic)
        else:
            share = self._max_pending_bytes // topic.partitions
            self._lanes = [Lane(topic, number, share, self._fail) for number in range(topic.partitions)]
        await self._failed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Send what waits, for FLUSH_SECONDS at most, spill what is left, and leave Kafka."""
        await asyncio.gather(*(lane.close(FLUSH_SECONDS) for lane in self._lanes))
        if self._topic:
            try:
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._topic.stop()
            except TimeoutError:
                # Nothing acknowledged is lost: it is on disk, or its sender was answered with 503, or is cut off now.
                _log.warning("not_flushed", pending_bytes=self.pending_bytes())
        if self._spill:
            self._disk.shutdown(wait=False, cancel_futures=True)
            self._spill.close()

    async def _connect(self) -> RawTopic:
        failures = 0
        while True:
            try:
                return await RawTopic.connect(self._settings)
            except Unavailable as error:
                failures += 1
                _log.warning("kafka_not_reached", servers=self._settings.kafka_bootstrap_servers, reason=str(error))
                await asyncio.sleep(pause_seconds(failures))

    def _open_spilling(self, spill: Spill, partitions: int) -> None:
        """Have so many lanes; those that are there stay."""
        if not partitions:
            return
        limits = Limits(self._max_pending_bytes // partitions, self._spill_after_seconds)
        self._spilling_lanes += [
            SpillingLane(number, spill.lane(number), self._disk, limits, self._fail)
            for number in range(len(self._spilling_lanes), partitions)
        ]
        self._lanes = self._spilling_lanes[:partitions]

    def _connect_spilling(self, spill: Spill, topic: RawTopic) -> None:
        self._open_spilling(spill, topic.partitions)
        for lane in self._spilling_lanes[: topic.partitions]:
            lane.connect(topic)
        if foreign := [number for number in spill.held() if number >= topic.partitions]:
            _log.error("spilled_for_partitions_that_are_gone", topic=topic.name, partitions=foreign)
        spill.remember(topic.partitions)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
