"""The topics of one pipeline as they lie in Kafka, for who looks at them: it joins no group.

Every method raises Unavailable where Kafka does not answer.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from schemas.cancellation import told_apart
from schemas.errors import Unavailable
from schemas.settings import KafkaSettings
from sink.audit import Span

POLL_MILLISECONDS = 500
POLL_RECORDS = 500
ANSWER_SECONDS = 30


class TopicLog:
    """The way to the topics of one pipeline.

    Args:
        settings: the way to Kafka.
        rest: after each answer it rests this many times as long as that took; for who shares a process.
        group: whose offsets the consumer may commit.
    """

    def __init__(self, settings: KafkaSettings, rest: float = 0.0, group: str | None = None) -> None:
        self.topics = settings.topics
        self._settings = settings
        self._rest = rest
        self._group = group
        self._stack = AsyncExitStack()
        self._consumer: Any = None
        self.admin: Any = None

    async def __aenter__(self) -> Self:
        """Connect."""
        options = self._settings.kafka_options() | {"client_id": "events-audit"}
        try:
            with translated():
                # A request waits until the broker has answered the fetch before it, and the topics change often.
                self._consumer = AIOKafkaConsumer(
                    **options, group_id=self._group, enable_auto_commit=False, fetch_max_wait_ms=10
                )
                self._stack.push_async_callback(self._consumer.stop)
                await self._consumer.start()
                self.admin = AIOKafkaAdminClient(**options)
                self._stack.push_async_callback(self.admin.close)
                await self.admin.start()
        except BaseException:
            await self._disconnect()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._disconnect()

    async def partitions(self) -> list[int]:
        """The partitions of the raw topic."""
        with translated():
            (topic,) = await self.admin.describe_topics([self.topics.raw])
        if not topic["partitions"]:
            raise Unavailable(f"Kafka has no topic {self.topics.raw}; is KAFKA_TOPIC_PREFIX right?")
        return sorted(partition["partition"] for partition in topic["partitions"])

    async def committed(self, group: str, at: TopicPartition) -> int | None:
        """What a group has committed; None where it has not."""
        with translated():
            found = (await self.admin.list_consumer_group_offsets(group, partitions=[at])).get(at)
        return None if found is None or found.offset < 0 else int(found.offset)

    async def bounds(self, at: TopicPartition) -> Span:
        """The offsets that are there."""
        with translated():
            beginnings = await self._consumer.beginning_offsets([at])
            ends = await self._consumer.end_offsets([at])
        return Span(beginnings[at], ends[at])

    async def raw_end(self, partition: int) -> int:
        """The offset of the next raw record."""
        return (await self.bounds(self.raw_at(partition))).stop

    def raw_at(self, partition: int) -> TopicPartition:
        """A partition of the raw topic."""
        return TopicPartition(self.topics.raw, partition)

    def dead_at(self, partition: int) -> TopicPartition:
        """A partition of the dead letters."""
        return TopicPartition(self.topics.dead_letter, partition)

    async def since(self, at: TopicPartition, time_ms: int | None) -> int:
        """The first offset of a record that is not older; the beginning for None."""
        bounds = await self.bounds(at)
        if time_ms is None:
            return bounds.start
        with translated():
            found = (await self._consumer.offsets_for_times({at: time_ms}))[at]
        return bounds.stop if found is None else int(found.offset)

    async def readable(self, at: TopicPartition, span: Span) -> AsyncGenerator[list[ConsumerRecord]]:
        """As `read`, without the records of which the client can tell nothing: a header's name is not UTF-8."""
        position, stop, most = max(span.start, (await self.bounds(at)).start), span.stop, POLL_RECORDS
        while position < span.stop:
            try:
                async with aclosing(self.read(at, Span(position, stop), most)) as pieces:
                    async for records in pieces:
                        position = records[-1].offset + 1
                        yield records
            except UnicodeDecodeError:
                # Of some record, and the client does not say which: from here on one by one.
                position, most = position + (most == 1), 1
                stop = min(span.stop, position + POLL_RECORDS)
            else:
                position, stop, most = max(position, stop), span.stop, POLL_RECORDS

    async def read(
        self, at: TopicPartition, span: Span, most: int = POLL_RECORDS
    ) -> AsyncGenerator[list[ConsumerRecord]]:
        """The records of a span of offsets that are there, in pieces, never empty.  Close it where you break off."""
        position = max(span.start, (await self.bounds(at)).start)
        self._consumer.assign([at])
        self._consumer.seek(at, position)
        silent_seconds = 0.0
        try:
            while position < span.stop:
                began = time.monotonic()
                with translated():
                    fetched = await self._consumer.getmany(at, timeout_ms=POLL_MILLISECONDS, max_records=most)
                took_seconds = time.monotonic() - began
                found = fetched.get(at)
                silent_seconds = 0.0 if found else silent_seconds + took_seconds
                if found:
                    position = found[-1].offset + 1
                    if found[0].offset < span.stop:
                        yield [record for record in found if record.offset < span.stop]
                elif silent_seconds > ANSWER_SECONDS:
                    raise Unavailable(f"Kafka brings no record of {at.topic}/{at.partition} at offset {position}")
                await asyncio.sleep(took_seconds * self._rest)
        finally:
            # Otherwise it goes on fetching; unsubscribe() would end aiokafka's fetching for good.
            self._consumer.pause(at)

    async def _disconnect(self) -> None:
        with translated():
            await self._stack.aclose()


@contextmanager
def translated() -> Iterator[None]:
    """What the client raises where Kafka is away becomes Unavailable."""
    try:
        with told_apart():
            yield
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unavailable(f"Kafka does not answer: {error!r}") from error
