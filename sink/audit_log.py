"""What the audit asks of Kafka: it joins no group and commits nothing.

Every method raises Unavailable where Kafka does not answer.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from schemas.errors import Unavailable
from schemas.settings import KafkaSettings
from schemas.topics import EVENT_ID, RAW_OFFSET
from sink.audit import Marks, Raw, Span, settled

POLL_MILLISECONDS = 500
POLL_RECORDS = 500
ANSWER_SECONDS = 30
# Reading on costs less than a seek where the next record wanted is this near.
NEAR = 1_000
# Clocks of ingress and stream differ, and an audit takes its time.
MARGIN_MILLISECONDS = 3_600_000
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class AuditLog:
    """The three topics of one pipeline, as they lie there.

    Args:
        settings: the way to Kafka.
        rest: after each answer it rests this many times as long as that took; for who shares a process.
    """

    def __init__(self, settings: KafkaSettings, rest: float = 0.0) -> None:
        self._topics = settings.topics
        self._settings = settings
        self._rest = rest
        self._stack = AsyncExitStack()
        self._consumer: Any = None
        self._admin: Any = None

    async def __aenter__(self) -> Self:
        """Connect."""
        options = self._settings.kafka_options() | {"client_id": "events-audit"}
        try:
            with _translated():
                # A request waits until the broker has answered the fetch before it, and the topics change often.
                self._consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, fetch_max_wait_ms=10)
                self._stack.push_async_callback(self._consumer.stop)
                await self._consumer.start()
                self._admin = AIOKafkaAdminClient(**options)
                self._stack.push_async_callback(self._admin.close)
                await self._admin.start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._stack.aclose()

    async def partitions(self) -> list[int]:
        """The partitions of the raw topic."""
        with _translated():
            (topic,) = await self._admin.describe_topics([self._topics.raw])
        if not topic["partitions"]:
            raise Unavailable(f"Kafka has no topic {self._topics.raw}; is KAFKA_TOPIC_PREFIX right?")
        return sorted(partition["partition"] for partition in topic["partitions"])

    async def auditable(self, partition: int) -> Span:
        """The raw offsets that are settled, less those whose dead letters may have expired."""
        raw = await self._bounds(self._raw(partition))
        stop = settled(await self._marks(partition))
        start = await self.raw_since(partition, await self._dead_letters_since_ms())
        return Span(max(raw.start, start), max(raw.start, start, min(stop, raw.stop)))

    async def raw_since(self, partition: int, time_ms: int | None) -> int:
        """The first raw offset of a record that is not older; the beginning for None."""
        return await self._since(self._raw(partition), time_ms)

    async def raw_end(self, partition: int) -> int:
        """The offset of the next raw record."""
        return (await self._bounds(self._raw(partition))).stop

    async def dead_letters_since(self, partition: int, time_ms: int | None) -> int:
        """Where in the log of dead letters to look for raw records that are not older; the beginning for None."""
        before = None if time_ms is None else max(0, time_ms - MARGIN_MILLISECONDS)
        return await self._since(self._dead(partition), before)

    async def dead_letters(self, partition: int, position: int) -> AsyncIterator[tuple[int, list[int]]]:
        """Read the dead letters from a position to the end, in pieces: the next position, and their raw offsets."""
        at = self._dead(partition)
        stop = (await self._bounds(at)).stop
        async for records in self._read(at, Span(position, stop)):
            headers = [dict(record.headers).get(RAW_OFFSET) for record in records]
            yield records[-1].offset + 1, [int(value) for value in headers if value is not None and value.isdigit()]

    async def raw(self, partition: int, offsets: Sequence[int]) -> dict[int, Raw]:
        """The raw records at these offsets, which are in order; those that have expired are left out."""
        at = self._raw(partition)
        first = (await self._bounds(at)).start
        wanted = [offset for offset in offsets if offset >= first]
        found: dict[int, Raw] = {}
        for near in _near(wanted):
            names = set(near)
            try:
                async for records in self._read(at, Span(near[0], near[-1] + 1)):
                    found |= {record.offset: _raw(record) for record in records if record.offset in names}
            except UnicodeDecodeError:
                for offset in near:
                    found[offset] = found.get(offset) or await self._single(at, offset)
        return found

    async def _single(self, at: TopicPartition, offset: int) -> Raw:
        """One record, of which aiokafka can tell nothing where a header's name is not UTF-8."""
        found = Raw(None, 0)
        with suppress(UnicodeDecodeError):
            async for records in self._read(at, Span(offset, offset + 1), most=1):
                found = _raw(records[0])
        return found

    async def _marks(self, partition: int) -> Marks:
        topics, at = self._topics, self._normalized(partition)
        by_stream = await self._committed(topics.stream_group, self._raw(partition))
        normalized = await self._bounds(at)
        by_sink = await self._committed(topics.sink_group, at)
        last: int | None = None
        if by_sink is not None and normalized.start < by_sink <= normalized.stop:
            async for records in self._read(at, Span(by_sink - 1, by_sink), most=1):
                value = dict(records[0].headers).get(RAW_OFFSET)
                last = int(value) if value is not None and value.isdigit() else None
        return Marks(by_stream, normalized, by_sink, last)

    async def _dead_letters_since_ms(self) -> int | None:
        """From when on no dead letter can have expired; None for always.

        The raw log often keeps a record for longer than its dead letter, as both expire in segments.
        """
        resource = ConfigResource(ConfigResourceType.TOPIC, self._topics.dead_letter, {"retention.ms": None})
        with _translated():
            (answer,) = await self._admin.describe_configs([resource])
        values = {entry[0]: entry[1] for _, _, _, _, entries in answer.resources for entry in entries}
        retention = int(values.get("retention.ms") or -1)
        if retention < 0:
            return None
        return max(0, round(time.time() * 1_000) - retention + min(MARGIN_MILLISECONDS, retention // 10))

    async def _committed(self, group: str, at: TopicPartition) -> int | None:
        with _translated():
            found = (await self._admin.list_consumer_group_offsets(group, partitions=[at])).get(at)
        return None if found is None or found.offset < 0 else int(found.offset)

    async def _bounds(self, at: TopicPartition) -> Span:
        with _translated():
            beginnings = await self._consumer.beginning_offsets([at])
            ends = await self._consumer.end_offsets([at])
        return Span(beginnings[at], ends[at])

    async def _since(self, at: TopicPartition, time_ms: int | None) -> int:
        bounds = await self._bounds(at)
        if time_ms is None:
            return bounds.start
        with _translated():
            found = (await self._consumer.offsets_for_times({at: time_ms}))[at]
        return bounds.stop if found is None else int(found.offset)

    async def _read(
        self, at: TopicPartition, span: Span, most: int = POLL_RECORDS
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """The records of a span of offsets that are there, in pieces; a piece is never empty."""
        position = max(span.start, (await self._bounds(at)).start)
        self._consumer.assign([at])
        self._consumer.seek(at, position)
        answered = time.monotonic()
        try:
            while position < span.stop:
                began = time.monotonic()
                with _translated():
                    fetched = await self._consumer.getmany(at, timeout_ms=POLL_MILLISECONDS, max_records=most)
                now = time.monotonic()
                if found := fetched.get(at):
                    position, answered = found[-1].offset + 1, now
                    if found[0].offset < span.stop:
                        yield [record for record in found if record.offset < span.stop]
                elif now - answered > ANSWER_SECONDS:
                    raise Unavailable(f"Kafka brings no record of {at.topic}/{at.partition} at offset {position}")
                await asyncio.sleep((now - began) * self._rest)
        finally:
            # Otherwise it goes on fetching; unsubscribe() would end aiokafka's fetching for good.
            self._consumer.pause(at)

    def _raw(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topics.raw, partition)

    def _normalized(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topics.normalized, partition)

    def _dead(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topics.dead_letter, partition)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unavailable(f"Kafka does not answer: {error!r}") from error


def _near(offsets: Sequence[int]) -> Iterator[list[int]]:
    """Offsets in order, cut where the way to the next one is long."""
    near: list[int] = []
    for offset in offsets:
        if near and offset - near[-1] > NEAR:
            yield near
            near = []
        near.append(offset)
    if near:
        yield near


def _raw(record: ConsumerRecord) -> Raw:
    """Ids are as ClickHouse spells them; what is none never had a row."""
    text = (dict(record.headers).get(EVENT_ID) or b"").decode(errors="replace").lower()
    return Raw(text if _UUID.fullmatch(text) else None, record.timestamp)
