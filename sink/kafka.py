"""The way to Kafka, and the only module that knows aiokafka, which has no types."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError, KafkaError, KafkaTimeoutError
from aiokafka.structs import OffsetAndMetadata

from schemas.compressing import fast_lz4
from schemas.logs import get_logger
from schemas.stalls import Reading
from schemas.topics import DETAIL, FIELD, FORMAT, MAX_RECORD_BYTES, NORMALIZED_FORMAT, RAW_PARTITION, REASON, Headers
from sink.offsets import Note, decode_note
from sink.rows import Record, Refused
from sink.settings import SinkSettings

log = get_logger(__name__)

# One answer of the broker fills a whole batch of one partition rather than a little of each: so the batches of the
# partitions are not all complete, and inserted, at the same moment.
FETCH_BYTES = 8 << 20
FETCH_RECORDS = 1_000
FETCH_SECONDS = 0.1
IDLE_SECONDS = 0.02
RETRY_SECONDS = 1.0
METADATA_SECONDS = 30
# A request must outlast a rebalance, which may take a session.  Of a broker that went silent aiokafka gives up two, one
# after the other, before it asks who leads now; that is to be over before the watchdog finds that nothing comes.
REQUEST_AFTER_SESSION_SECONDS = 5
LONGEST_POLL_MILLISECONDS = (1 << 31) - 1
DETAIL_CHARACTERS = 1_000
C = TypeVar("C", AIOKafkaConsumer, AIOKafkaProducer)


class LostPartition(Exception):
    """The group gave the partition to somebody else: what is held of it is dropped, and nothing is committed."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Where to go on, and what the note beside it says."""

    offset: int
    note: Note


class Membership(Protocol):
    """Is told which partitions come and go."""

    def on_assigned(self, partitions: set[int]) -> None:
        """These partitions are ours now; nothing is delivered of them before they are opened."""

    async def on_revoked(self) -> None:
        """All partitions are taken away when this returns; until then commits still count."""


class Source:
    """The sink's membership in its consumer group, on `events.normalized`."""

    def __init__(self, settings: SinkSettings) -> None:
        self.topic = settings.topics.normalized
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None
        self._listener: _Listener | None = None
        self._committing = asyncio.Lock()

    async def start(self, membership: Membership) -> None:
        """Join the group, as soon as Kafka answers."""
        self._consumer = await _once_there(lambda: _started(self._new_consumer()))
        self._listener = _Listener(membership)
        self._consumer.subscribe([self.topic], listener=self._listener)

    async def stop(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def fetch(self, partitions: Collection[int]) -> dict[int, Sequence[Record]]:
        """The next records of these partitions; empty when none comes in a moment.

        A partition that is left out waits, with what was fetched of it, and the membership goes on.  pause() would
        throw away what was fetched.

        Raises:
            KafkaError: where the membership has broken for good.
        """
        if self._listener is not None and self._listener.failed is not None:
            raise self._listener.failed
        if not partitions:
            self._coordinator.check_errors()
            await asyncio.sleep(IDLE_SECONDS)
            return {}
        fetched = await self._joined.getmany(
            *map(self._at, partitions), timeout_ms=int(FETCH_SECONDS * 1_000), max_records=FETCH_RECORDS
        )
        return {at.partition: records for at, records in fetched.items()}

    async def committed(self, partition: int) -> Committed:
        """Where a partition that was just assigned goes on; `seek` there when it may begin.

        Raises:
            LostPartition: it was taken away meanwhile.
        """
        at = self._at(partition)
        while True:
            try:
                return await self._committed(at)
            except IllegalStateError as error:
                raise LostPartition(partition) from error
            except KafkaError as error:
                if not error.retriable and not isinstance(error, KafkaTimeoutError):
                    raise
                log.warning("offset_unreadable", partition=partition, error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)

    def seek(self, partition: int, offset: int) -> None:
        """Deliver from this offset on, whatever was delivered before."""
        self._joined.seek(self._at(partition), offset)

    async def commit(self, partition: int, committed: Committed) -> None:
        """Commit an offset with its note, as the member that the partition was assigned to.

        Raises:
            LostPartition: the broker knows another member by now, or soon will.
        """
        async with self._committing:
            generation = self._generation
            try:
                await self._joined.commit(
                    {self._at(partition): OffsetAndMetadata(committed.offset, committed.note.encode())}
                )
            except (CommitFailedError, IllegalStateError) as error:
                raise LostPartition(partition) from error
            # aiokafka retries under whatever generation it has by then, and under none (-1) an empty group takes all.
            if generation < 0 or self._generation != generation:
                raise LostPartition(partition)

    def reading(self, partition: int, offset: int) -> Reading:
        """What Kafka's last answer to a fetch of this partition said, beside where we are."""
        at = self._at(partition)
        if at not in self._joined.assignment():
            return Reading(offset, None, None)
        return Reading(offset, self._joined.highwater(at), self._joined.last_poll_timestamp(at))

    @property
    def _joined(self) -> AIOKafkaConsumer:
        assert self._consumer is not None, "started"  # noqa: S101 - the order of calls, not an input
        return self._consumer

    @property
    def _coordinator(self) -> Any:
        # The public committed() leaves out the metadata, and the admin client's way takes a coordinator that is
        # still loading for a group without offsets.
        return self._joined._coordinator  # noqa: SLF001 - see above

    @property
    def _generation(self) -> int:
        generation: int = self._coordinator.generation
        return generation

    def _at(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    async def _committed(self, at: TopicPartition) -> Committed:
        """What was committed, or the start of the log where nothing was, or nothing that lies within the log."""
        found = (await self._coordinator.fetch_committed_offsets([at])).get(at)
        first = (await self._joined.beginning_offsets([at]))[at]
        if found is None:
            return Committed(first, Note())
        if first <= found.offset <= (await self._joined.end_offsets([at]))[at]:
            return Committed(found.offset, decode_note(found.metadata))
        log.error("offset_out_of_range", partition=at.partition, committed=found.offset, first=first)
        return Committed(first, Note())

    def _new_consumer(self) -> AIOKafkaConsumer:
        session_ms = int(self._settings.sink_session_timeout_seconds * 1_000)
        return AIOKafkaConsumer(
            **self._settings.kafka_options(),
            group_id=self._settings.topics.sink_group,
            client_id="events-sink",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 5,
            request_timeout_ms=session_ms + REQUEST_AFTER_SESSION_SECONDS * 1_000,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=FETCH_BYTES,
            # Leaving partitions out while ClickHouse is away is not idleness; Consumer watches progress itself.
            max_poll_interval_ms=LONGEST_POLL_MILLISECONDS,
            metadata_max_age_ms=METADATA_SECONDS * 1_000,
        )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.failed: Exception | None = None

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        with self._noting_failure():
            self._membership.on_assigned({at.partition for at in assigned})

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002 - always all of them
        with self._noting_failure():
            await self._membership.on_revoked()

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """Remember what a listener raises: aiokafka logs it and goes on, we do not."""
        try:
            yield
        except Exception as error:
            self.failed = error
            raise


class DeadLetters:
    """The sink's way into `events.dead_letter`.

    The raw record is not at hand here, so a dead letter of the sink carries the normalized value, and the header
    `format` says so.  After a crash the same one may be sent again; its raw offset tells.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        self._topic = settings.topics.dead_letter
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect, as soon as Kafka answers."""
        self._producer = await _once_there(lambda: _started(self._new_producer()))

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, partition: int, refused: Sequence[Refused]) -> None:
        """Send dead letters and wait until all in-sync replicas have them."""
        assert self._producer is not None, "started"  # noqa: S101 - the order of calls, not an input
        sent = [
            await self._producer.send(
                self._topic, record.value or b"", record.key, partition, headers=_headers(partition, record)
            )
            for record in refused
        ]
        await asyncio.gather(*sent)

    def _new_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._settings.kafka_options(),
            client_id="events-sink",
            acks="all",
            enable_idempotence=True,
            compression_type=fast_lz4(),
            max_request_size=MAX_RECORD_BYTES + (64 << 10),
        )


def _headers(partition: int, refused: Refused) -> Headers:
    added = {
        FORMAT: NORMALIZED_FORMAT,
        REASON: refused.reason.encode(),
        DETAIL: refused.detail[:DETAIL_CHARACTERS].encode(),
        RAW_PARTITION: b"%d" % partition,
    }
    if refused.field is not None:
        added[FIELD] = refused.field.encode()
    return [(name, value) for name, value in refused.headers if name not in added] + list(added.items())


async def _started(client: C) -> C:
    try:
        await client.start()
    except BaseException:
        await client.stop()
        raise
    return client


async def _once_there(start: Callable[[], Awaitable[C]]) -> C:
    """Try until Kafka is there; logged once."""
    for attempt in count():
        try:
            return await start()
        except KafkaConnectionError as error:
            if attempt == 0:
                log.warning("kafka_away", error=str(error), todo="start Kafka, or set KAFKA_BOOTSTRAP_SERVERS")
            await asyncio.sleep(RETRY_SECONDS)
    raise AssertionError("count() is endless")
