"""The topics, followed from their end on: the only module of the Live page that knows aiokafka.

It joins no group and commits nothing.  A record's header `team` is read before anything else, and what is nobody's who
looks is left alone.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError, KafkaError
from aiokafka.structs import ConsumerRecord

from ingress.backoff import pause_seconds
from ingress.console.live.entries import Seen
from ingress.console.live.feed import Feed
from schemas.logs import get_logger
from schemas.settings import KafkaSettings
from schemas.topics import TEAM

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 5.0
CLOSE_SECONDS = 1.0
COMMITTED_EVERY_SECONDS = 0.5
# Partitions that were added, and topics that were made.
PARTITIONS_EVERY_SECONDS = 10.0
POLL_MILLISECONDS = 100
POLL_RECORDS = 500
FETCH_BYTES = 256 << 10
MAX_BEHIND_RECORDS = 20_000

Offsets = dict[TopicPartition, int]

_log = get_logger(__name__)


class _PartitionsChanged(Exception):
    """There are other partitions than those that are read."""


class Follower:
    """Reads all topics for the feeds of some teams.

    Args:
        settings: the way to Kafka.
        feeds: of the teams that somebody looks at; may change at any moment.
    """

    def __init__(self, settings: KafkaSettings, feeds: Mapping[str, Feed]) -> None:
        self.answers = False
        """Whether Kafka answers at the moment."""
        self.passed_over_at = 0.0
        """When records were last left out, since more came than can be read; seconds since 1970."""
        self._settings = settings
        self._feeds = feeds
        self._names = settings.topics
        self._position: Offsets = {}

    async def run(self) -> NoReturn:
        """Follow, for ever; while Kafka is away, try again with back-off, and go on where it was left."""
        failures = 0
        while True:
            try:
                async with AsyncExitStack() as stack:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        consumer, admin = await self._connect(stack)
                        partitions = await self._assign(consumer, admin)
                    failures, self.answers = 0, True
                    await self._follow(consumer, admin, partitions)
            except _PartitionsChanged:
                continue
            except (KafkaError, TimeoutError, OSError) as error:
                failures += 1
                _log.warning("live_without_kafka", reason=repr(error))
            except UnicodeDecodeError:
                # A header's name is not UTF-8: aiokafka does not tell whose, and reads no further.
                failures += 1
                self._position.clear()
                self.passed_over_at = time.time()
            self.answers = False
            await asyncio.sleep(pause_seconds(failures))

    async def _connect(self, stack: AsyncExitStack) -> tuple[Any, Any]:
        options = self._settings.kafka_options() | {
            "client_id": "events-live",
            "request_timeout_ms": int(ANSWER_SECONDS * 1_000),
        }
        admin = AIOKafkaAdminClient(**options)
        stack.push_async_callback(_closed, admin.close)
        await admin.start()
        consumer = AIOKafkaConsumer(
            **options,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        stack.push_async_callback(_closed, consumer.stop)
        await consumer.start()
        return consumer, admin

    async def _assign(self, consumer: Any, admin: Any) -> list[TopicPartition]:
        """Read on where it was left, else from the end; of a partition that is new since, from its beginning."""
        known, partitions = bool(self._position), await self._partitions(admin)
        consumer.assign(partitions)
        starts = await consumer.beginning_offsets(partitions) if partitions else {}
        ends = await consumer.end_offsets(partitions) if partitions else {}
        self._position = {
            at: min(max(self._position.get(at, starts[at] if known else ends[at]), starts[at]), ends[at])
            for at in partitions
        }
        for at, offset in self._position.items():
            consumer.seek(at, offset)
        return partitions

    async def _partitions(self, admin: Any) -> list[TopicPartition]:
        names = self._names
        topics = await admin.describe_topics([names.raw, names.normalized, names.dead_letter, names.refusals])
        return sorted(
            TopicPartition(topic["topic"], partition["partition"])
            for topic in topics
            for partition in topic["partitions"]
        )

    async def _follow(self, consumer: Any, admin: Any, partitions: Sequence[TopicPartition]) -> None:
        """Read and ask side by side, until either fails."""
        tasks = [
            asyncio.create_task(self._read(consumer, partitions)),
            asyncio.create_task(self._ask(admin, partitions)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _read(self, consumer: Any, partitions: Sequence[TopicPartition]) -> NoReturn:
        while True:
            if not partitions:
                await asyncio.sleep(COMMITTED_EVERY_SECONDS)
                continue
            fetched = await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=POLL_RECORDS)
            now = time.time()
            for at, records in fetched.items():
                self._take(at.topic, records, now)
                self._position[at] = records[-1].offset + 1
                self._keep_up(consumer, at, now)
            # Pages are served meanwhile.
            await asyncio.sleep(0)

    def _take(self, topic: str, records: Sequence[ConsumerRecord], now: float) -> None:
        act = self._action(topic)
        for record in records:
            feed = self._feed_of(record)
            if feed is not None:
                headers = dict(record.headers)
                act(feed, Seen(record.partition, record.offset, record.timestamp, headers, record.value), now)

    def _feed_of(self, record: ConsumerRecord) -> Feed | None:
        for name, value in record.headers:
            if name == TEAM:
                return None if value is None else self._feeds.get(value.decode(errors="replace"))
        return None

    def _action(self, topic: str) -> Callable[[Feed, Seen, float], None]:
        names = self._names
        return {
            names.raw: Feed.accepted,
            names.normalized: lambda feed, record, _now: feed.normalized(record),
            names.dead_letter: Feed.dead_letter,
            names.refusals: Feed.refused,
        }[topic]

    def _keep_up(self, consumer: Any, at: TopicPartition, now: float) -> None:
        """Leave out what cannot be read in time: late is not live."""
        end = consumer.highwater(at)
        if end is not None and end - self._position[at] > MAX_BEHIND_RECORDS:
            consumer.seek(at, end)
            self._position[at] = end
            self.passed_over_at = now

    async def _ask(self, admin: Any, partitions: Sequence[TopicPartition]) -> NoReturn:
        """How far the sink has come, and whether there are other partitions by now."""
        normalized = [at for at in partitions if at.topic == self._names.normalized]
        asked_at = time.monotonic()
        while True:
            await asyncio.sleep(COMMITTED_EVERY_SECONDS)
            async with asyncio.timeout(ANSWER_SECONDS):
                for at, offset in (await _committed(admin, self._names.sink_group, normalized)).items():
                    for feed in list(self._feeds.values()):
                        feed.stored(at.partition, offset, time.time())
                if time.monotonic() - asked_at >= PARTITIONS_EVERY_SECONDS:
                    asked_at = time.monotonic()
                    if await self._partitions(admin) != partitions:
                        raise _PartitionsChanged


async def _committed(admin: Any, group: str, ats: list[TopicPartition]) -> Offsets:
    """What a group has committed; nothing where it is not known at the moment."""
    if not ats:
        return {}
    try:
        offsets = await admin.list_consumer_group_offsets(group, partitions=ats)
    except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
        return {}
    return {at: found.offset for at, found in offsets.items()}


async def _closed(close: Callable[[], Any]) -> None:
    """A Kafka that is away must not hold up the end."""
    with suppress(TimeoutError, KafkaError, OSError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await close()
