"""The topics, followed from a moment before their end on: the only module of the Live page that knows aiokafka.

It joins no group and commits nothing.  A record's header `team` is read before anything else, and what is nobody's who
looks is left alone.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError, KafkaError
from aiokafka.structs import ConsumerRecord

from ingress.backoff import pause_seconds
from ingress.console.live.entries import Seen
from ingress.console.live.feed import Feed
from schemas.cancellation import told_apart
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
# Who has just sent an event, and then looks, wants to see it.
LOOK_BACK_SECONDS = 60
LOOK_BACK_RECORDS = 200
LOOK_BACK_BYTES = 8 << 20

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
        self._live_from: Offsets = {}
        self._from_end = False
        self._recent = _Recent()

    def look_back(self, team: str) -> None:
        """Show what has just passed to a team at which somebody looks now."""
        for topic, record in list(self._recent):
            if time.time() * 1000 - record.timestamp < LOOK_BACK_SECONDS * 1000:
                self._show(topic, record, time.time(), only=team)

    async def run(self) -> NoReturn:
        """Follow, for ever; while Kafka is away, try again with back-off, and go on where it was left."""
        failures = 0
        while True:
            try:
                async with AsyncExitStack() as stack:
                    stack.enter_context(told_apart())
                    async with asyncio.timeout(CONNECT_SECONDS):
                        consumer, admin = await self._connect(stack)
                        partitions = await self._assign(consumer, admin)
                    failures, self.answers = 0, True
                    try:
                        await self._follow(consumer, admin, partitions)
                    finally:
                        self.answers = False
            except _PartitionsChanged:
                continue
            except (KafkaError, TimeoutError, OSError) as error:
                failures += 1
                _log.warning("live_without_kafka", reason=repr(error))
            except UnicodeDecodeError:
                # A header's name is not UTF-8: aiokafka does not tell whose, and reads no further.
                failures += 1
                self._position, self._from_end = {}, True
                self.passed_over_at = time.time()
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
        """Read on where it was left, else from a moment ago; of a partition that is new since, from its beginning."""
        partitions = await self._partitions(admin)
        consumer.assign(partitions)
        if partitions:
            starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            if self._position:
                first = starts
            else:
                first = ends if self._from_end else await _a_moment_ago(consumer, ends)
                self._from_end = False
            position = {at: self._position.get(at, first[at]) for at in partitions}
            self._position = {at: min(max(offset, starts[at]), ends[at]) for at, offset in position.items()}
            self._live_from = ends
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
        for record in records:
            self._recent.add(topic, record)
            self._show(topic, record, now)

    def _show(self, topic: str, record: ConsumerRecord, now: float, only: str | None = None) -> None:
        """Hand a record to the feed of its team; with `only`, of what has passed already, to this team's."""
        team = _team_of(record)
        feed = None if team is None or only not in {None, team} else self._feeds.get(team)
        if feed is not None:
            at = TopicPartition(topic, record.partition)
            late = only is not None or record.offset < self._live_from.get(at, 0)
            seen = Seen(
                record.partition, record.offset, record.timestamp, dict(record.headers), record.value, late=late
            )
            self._action(topic)(feed, seen, now)

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


class _Recent:
    """The last records of all topics, whosoever they are, as they were read: a bound on their number and bytes."""

    def __init__(self) -> None:
        self._records: deque[tuple[str, ConsumerRecord]] = deque()
        self._bytes = 0

    def __iter__(self) -> Iterator[tuple[str, ConsumerRecord]]:
        return iter(self._records)

    def add(self, topic: str, record: ConsumerRecord) -> None:
        """The newest one."""
        self._records.append((topic, record))
        self._bytes += len(record.value or b"")
        while len(self._records) > LOOK_BACK_RECORDS * 4 or self._bytes > LOOK_BACK_BYTES:
            _, oldest = self._records.popleft()
            self._bytes -= len(oldest.value or b"")


def _team_of(record: ConsumerRecord) -> str | None:
    for name, value in record.headers:
        if name == TEAM:
            return None if value is None else str(value, "utf-8", "replace")
    return None


async def _a_moment_ago(consumer: Any, ends: Offsets) -> Offsets:
    """Where the last LOOK_BACK_SECONDS begin, LOOK_BACK_RECORDS before the end at most."""
    since = int((time.time() - LOOK_BACK_SECONDS) * 1000)
    found = await consumer.offsets_for_times(dict.fromkeys(ends, since))
    return {
        at: max(end if found[at] is None else found[at].offset, end - LOOK_BACK_RECORDS) for at, end in ends.items()
    }


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
