"""The raw topic as a member of the consumer group reads it: partitions are numbers, positions are ours to set."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata

from schemas.logs import get_logger
from schemas.stalls import Reading
from stream.records import RawRecord
from stream.settings import StreamSettings

# How long a killed process keeps its partitions; Kafka does not take less.
SESSION_SECONDS = 6
# A request must outlast a rebalance, which may take a session.  Of a broker that went silent aiokafka gives up two, one
# after the other, before it asks who leads now; that is to be over before the watchdog finds that nothing comes.
REQUEST_SECONDS = SESSION_SECONDS + 5
# How a record is found that cannot be read.
SEARCH_FACTOR = 8
SEARCH_SECONDS = 0.1

_log = get_logger(__name__)

OnPartitions = Callable[[set[int]], Awaitable[None]]


class Unreadable(NamedTuple):
    """A record of which aiokafka can tell no more than its place: the name of a header of it is not UTF-8."""

    partition: int
    offset: int
    key: None = None
    value: None = None
    headers: tuple[()] = ()
    timestamp: int = 0


class RawLog:
    """One consumer of the raw topic."""

    def __init__(self, settings: StreamSettings) -> None:
        self.topic = settings.topics.raw
        self._kafka = AIOKafkaConsumer(
            **settings.kafka_options(),
            group_id=settings.topics.stream_group,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=settings.stream_max_run_records,
            session_timeout_ms=SESSION_SECONDS * 1000,
            heartbeat_interval_ms=SESSION_SECONDS * 1000 // 4,
            request_timeout_ms=REQUEST_SECONDS * 1000,
            # One request for all idle partitions holds up the next fetch of a busy one for this long.
            fetch_max_wait_ms=100,
        )
        self._max_records = self._limit = settings.stream_max_run_records
        self._positions: dict[int, int] = {}

    async def start(self) -> None:
        """Connect."""
        await self._kafka.start()

    async def stop(self) -> None:
        """Leave the group."""
        await self._kafka.stop()

    def subscribe(self, on_revoked: OnPartitions, on_assigned: OnPartitions) -> None:
        """Join the group; each rebalance calls back, and waits until that is done."""
        self._kafka.subscribe(topics=[self.topic], listener=_Listener(on_revoked, on_assigned))

    @property
    def generation(self) -> int:
        """The group's generation that we are a member of."""
        generation: int = self._kafka._coordinator.generation  # noqa: SLF001 - Faust's own driver reads it there
        return generation

    def assignment(self) -> set[int]:
        """The partitions that the group gave us."""
        return {tp.partition for tp in self._kafka.assignment()}

    async def fetch(self, partitions: Collection[int], seconds: float) -> dict[int, Sequence[RawRecord]]:
        """What there is in these partitions, at most stream_max_run_records together, waiting where there is nothing.

        The positions move in the moment of the return.
        """
        if self._limit < self._max_records:
            return await self._fetch_carefully(partitions)
        try:
            return await self._fetch(partitions, seconds)
        except UnicodeDecodeError:
            # Of some record in some partition; aiokafka does not say which.
            self._limit = max(1, self._max_records // SEARCH_FACTOR)
            self._rewind(partitions)
            return {}

    def seek(self, partition: int, offset: int) -> None:
        """Go on at this offset; of no account where the partition is not ours any more."""
        if partition in self.assignment():
            self._kafka.seek(TopicPartition(self.topic, partition), offset)
            self._positions[partition] = offset

    async def committed(self, partition: int) -> int | None:
        """The group's committed offset."""
        offset: int | None = await self._kafka.committed(TopicPartition(self.topic, partition))
        return offset

    async def earliest(self, partition: int) -> int:
        """The offset of the first record that is still there."""
        tp = TopicPartition(self.topic, partition)
        offset: int = (await self._kafka.beginning_offsets([tp]))[tp]
        return offset

    def reading(self, partition: int, offset: int) -> Reading:
        """What Kafka's last answer to a fetch of this partition said, beside where we are."""
        if partition not in self.assignment():
            return Reading(offset, None, None)
        tp = TopicPartition(self.topic, partition)
        return Reading(offset, self._kafka.highwater(tp), self._kafka.last_poll_timestamp(tp))

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Commit; while Kafka is away this waits.  False where the group has moved on without us."""
        try:
            await self._kafka.commit(
                {
                    TopicPartition(self.topic, number): OffsetAndMetadata(offset, "")
                    for number, offset in offsets.items()
                }
            )
        except (CommitFailedError, IllegalStateError) as error:
            _log.warning("not_committed", offsets=dict(offsets), reason=repr(error))
            return False
        return True

    async def _fetch(self, partitions: Iterable[int], seconds: float) -> dict[int, Sequence[RawRecord]]:
        wanted = [TopicPartition(self.topic, partition) for partition in partitions]
        fetched = await self._kafka.getmany(*wanted, timeout_ms=round(seconds * 1000), max_records=self._limit)
        by_partition = {tp.partition: records for tp, records in fetched.items() if records}
        self._positions |= {partition: records[-1].offset + 1 for partition, records in by_partition.items()}
        return by_partition

    async def _fetch_carefully(self, partitions: Iterable[int]) -> dict[int, Sequence[RawRecord]]:
        """Fetch from one partition after the other, less and less, until what cannot be read stands alone."""
        for partition in sorted(partitions):
            try:
                if fetched := await self._fetch([partition], SEARCH_SECONDS):
                    return fetched
            except UnicodeDecodeError as error:
                if self._limit > 1:
                    self._limit = max(1, self._limit // SEARCH_FACTOR)
                    self._rewind([partition])
                    return {}
                offset = self._positions[partition]
                self._limit = self._max_records
                self.seek(partition, offset + 1)
                _log.error("raw_record_unreadable", partition=partition, offset=offset, reason=repr(error))
                return {partition: [Unreadable(partition, offset)]}
        return {}

    def _rewind(self, partitions: Iterable[int]) -> None:
        """Go back to what was returned last: aiokafka forgets what it had gathered when an error came."""
        for partition in partitions:
            self.seek(partition, self._positions[partition])


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """Turns aiokafka's partitions into numbers."""

    def __init__(self, on_revoked: OnPartitions, on_assigned: OnPartitions) -> None:
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._on_revoked({tp.partition for tp in revoked})

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        await self._on_assigned({tp.partition for tp in assigned})
