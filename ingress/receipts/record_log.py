"""The three topics, read for one event: the only module of the receipts that knows aiokafka.

It joins no group and commits nothing.  One look-up at a time: the clients are made with the first one, and made anew
after each failure.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError, KafkaError
from aiokafka.structs import ConsumerRecord

from ingress.receipts.evidence import Place, Record, Span, Trace, Wanted
from schemas.cancellation import told_apart
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.settings import KafkaSettings

ANSWER_SECONDS = 10.0
COORDINATOR_SECONDS = 0.1
SCAN_SECONDS = 3.0
POLL_MILLISECONDS = 200
# As many as are read without a pause for the requests that bring events.
POLL_RECORDS = 500

Windows = Mapping[TopicPartition, Span]

_log = get_logger(__name__)


class _Clients(NamedTuple):
    consumer: Any
    admin: Any


class RecordLog:
    """What Kafka knows of an event.  All methods raise Unavailable where Kafka does not answer.

    Args:
        settings: the way to Kafka.
        max_records: the most that are read of each topic, all partitions together.
    """

    def __init__(self, settings: KafkaSettings, max_records: int) -> None:
        self.topics = settings.topics
        self._settings = settings
        self._max_records = max_records
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._clients: _Clients | None = None

    async def __aenter__(self) -> Self:
        """Nothing is connected before somebody asks."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect."""
        await self._disconnect()

    async def trace(self, wanted: Wanted, *, all_raw: bool) -> Trace:
        """Look for the event where it is on its way: what the stream and the sink have not committed, and dead letters.

        What is in none of these places is stored, or nowhere.

        Args:
            wanted: the event.
            all_raw: look through what the stream has committed as well.
        """
        async with self._connected() as clients:
            spans = await self._spans(clients, all_raw=all_raw)
            windows = await self._windows(clients, spans, wanted)
            found, complete = await _scan(clients.consumer, windows, wanted)
        raw, normalized, dead = ([record for record in found if record.topic == topic] for topic in self._names)
        return Trace(raw, normalized, dead, complete and windows == spans)

    async def raw(self, places: Sequence[Place]) -> dict[Place, Record]:
        """The raw records at these places, whosoever they are; those that have expired are left out."""
        found: dict[Place, Record] = {}
        if not places:
            return found
        async with self._connected() as clients:
            there = await _bounds(clients.consumer, {TopicPartition(self.topics.raw, at) for at, _ in places})
            for partition, offset in places:
                at = TopicPartition(self.topics.raw, partition)
                if there[at].start <= offset < there[at].stop:
                    records, _ = await _scan(clients.consumer, {at: Span(offset, offset + 1)}, None)
                    found |= {(record.partition, record.offset): record for record in records}
        return found

    @property
    def _names(self) -> tuple[str, str, str]:
        return self.topics.raw, self.topics.normalized, self.topics.dead_letter

    async def _spans(self, clients: _Clients, *, all_raw: bool) -> dict[TopicPartition, Span]:
        """Where an event can be that is on its way.

        The groups' offsets are read before the ends of the topics: what moves on meanwhile is found in both places,
        and never in none.
        """
        partitions = await self._partitions(clients)
        committed: dict[TopicPartition, int] = {}
        groups = [(self.topics.sink_group, self.topics.normalized)]
        groups += [] if all_raw else [(self.topics.stream_group, self.topics.raw)]
        for group, topic in groups:
            ats = [TopicPartition(topic, partition) for partition in partitions]
            committed |= await _committed(clients.admin, group, ats)
        there = await _bounds(
            clients.consumer, {TopicPartition(topic, partition) for topic in self._names for partition in partitions}
        )
        return {at: _rest(span, committed.get(at, -1)) for at, span in there.items()}

    async def _partitions(self, clients: _Clients) -> list[int]:
        (topic,) = await clients.admin.describe_topics([self.topics.raw])
        if not topic["partitions"]:
            raise Unavailable("Kafka has no raw topic yet: ask again when the pipeline has started.")
        return [partition["partition"] for partition in topic["partitions"]]

    async def _windows(self, clients: _Clients, spans: Windows, wanted: Wanted) -> dict[TopicPartition, Span]:
        """What of it is read: all, where that is not too much."""
        most = max(1, self._max_records * len(self._names) // len(spans))
        long = [at for at, span in spans.items() if span.stop - span.start > most]
        hints: dict[TopicPartition, int] = {}
        if long and (earliest := wanted.earliest_ms) is not None:
            found = await clients.consumer.offsets_for_times(dict.fromkeys(long, earliest))
            hints = {at: spans[at].stop if hint is None else hint.offset for at, hint in found.items()}
        return {at: span.window(most, hints.get(at)) for at, span in spans.items()}

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Clients]:
        """The clients, for one look-up."""
        async with self._turn:
            try:
                with told_apart():
                    async with asyncio.timeout(ANSWER_SECONDS):
                        yield self._clients or await self._connect()
            except (KafkaError, TimeoutError, OSError) as error:
                _log.warning("receipt_without_kafka", reason=repr(error))
                await self._disconnect()
                raise Unavailable("Kafka does not answer: ask again in a moment.") from error

    async def _connect(self) -> _Clients:
        options = self._settings.kafka_options() | {
            "client_id": "events-receipts",
            "request_timeout_ms": int(ANSWER_SECONDS * 1_000),
        }
        # A request waits until the broker has answered the fetch before it.
        consumer = AIOKafkaConsumer(
            **options, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=10
        )
        self._stack.push_async_callback(consumer.stop)
        await consumer.start()
        admin = AIOKafkaAdminClient(**options)
        self._stack.push_async_callback(admin.close)
        await admin.start()
        self._clients = _Clients(consumer, admin)
        return self._clients

    async def _disconnect(self) -> None:
        self._clients = None
        # Whatever stopping a client says, it is gone.
        with suppress(KafkaError, TimeoutError, OSError), told_apart():
            await self._stack.aclose()


async def _committed(admin: Any, group: str, ats: list[TopicPartition]) -> dict[TopicPartition, int]:
    """What a group has committed, -1 where it has not."""
    while True:
        try:
            offsets = await admin.list_consumer_group_offsets(group, partitions=ats)
        except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
            # A new Kafka makes its topic of offsets when it is first asked for one.
            await asyncio.sleep(COORDINATOR_SECONDS)
        else:
            return {at: found.offset for at, found in offsets.items()}


async def _bounds(consumer: Any, ats: set[TopicPartition]) -> dict[TopicPartition, Span]:
    starts, stops = await consumer.beginning_offsets(ats), await consumer.end_offsets(ats)
    return {at: Span(starts[at], stops[at]) for at in ats}


def _rest(span: Span, committed: int) -> Span:
    """What a group has not committed; where its offset lies outside, it begins anew."""
    return Span(committed, span.stop) if span.start <= committed <= span.stop else span


async def _scan(consumer: Any, windows: Windows, wanted: Wanted | None) -> tuple[list[Record], bool]:
    """The records of the event in these windows, all records for None; and whether all could be read in time."""
    found: list[Record] = []
    complete, deadline = True, time.monotonic() + SCAN_SECONDS
    for at, window in windows.items():
        if window.start < window.stop:
            records, whole = await _scan_one(consumer, at, window, wanted, deadline)
            found += records
            complete = complete and whole
    return found, complete


async def _scan_one(
    consumer: Any, at: TopicPartition, window: Span, wanted: Wanted | None, deadline: float
) -> tuple[list[Record], bool]:
    found: list[Record] = []
    position = window.start
    consumer.assign([at])
    consumer.seek(at, position)
    try:
        while position < window.stop and (began := time.monotonic()) < deadline:
            fetched = await consumer.getmany(at, timeout_ms=POLL_MILLISECONDS, max_records=POLL_RECORDS)
            for records in fetched.values():
                found += _matching(records, window.stop, wanted)
                position = records[-1].offset + 1
            # Half of the event loop's time stays with the requests that bring events.
            await asyncio.sleep(time.monotonic() - began)
    except UnicodeDecodeError:
        # A header's name is not UTF-8: aiokafka does not tell whose, and reads no further.
        return found, False
    finally:
        # Otherwise it goes on fetching.
        consumer.pause(at)
    return found, position >= window.stop


def _matching(records: Sequence[ConsumerRecord], stop: int, wanted: Wanted | None) -> list[Record]:
    within = ((record, dict(record.headers)) for record in records if record.offset < stop)
    return [
        Record(record.topic, record.partition, record.offset, record.timestamp, headers)
        for record, headers in within
        if wanted is None or wanted.matches(headers)
    ]
