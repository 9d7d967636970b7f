"""What the commands ask of Kafka: dead letters, and which of them were replayed.

Every method raises Unavailable where Kafka does not answer.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from deploy.dead_letters import DeadLetter, EventKey, Filters, replayed_event
from sink.audit import Span
from sink.topic_log import TopicLog

# What clocks of brokers may differ by: a replay lies behind its dead letter by one clock only.
MARGIN_MILLISECONDS = 3_600_000

OnProgress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and how much there is."""


class DeadLetterLog(TopicLog):
    """The dead letters and raw records of one pipeline."""

    async def span(self, partition: int, since_ms: int | None = None) -> Span:
        """The offsets of a partition's dead letters, from a time on."""
        at = self.dead_at(partition)
        stop = (await self.bounds(at)).stop
        return Span(min(stop, await self.since(at, since_ms)), stop)

    async def letters(self, partition: int, span: Span, filters: Filters) -> AsyncGenerator[list[DeadLetter]]:
        """The wanted ones of a span, oldest first, in pieces that may be empty.  Close it where you break off."""
        async with aclosing(self.readable(self.dead_at(partition), span)) as pieces:
            async for records in pieces:
                yield [letter for letter in map(DeadLetter.of, records) if filters.match(letter)]

    async def newest(self, filters: Filters, limit: int, on_progress: OnProgress) -> tuple[list[DeadLetter], int]:
        """The newest that are wanted, oldest first and without their values, and how many are wanted."""
        found: list[DeadLetter] = []
        count = 0
        for partition in await self.partitions():
            last: deque[DeadLetter] = deque(maxlen=limit)
            span = await self.span(partition, filters.since_ms)
            async for letters in self.letters(partition, span, filters):
                count += len(letters)
                last.extend(replace(letter, value=None) for letter in letters)
                if letters:
                    on_progress(
                        f"dead letters of partition {partition}", letters[-1].offset + 1 - span.start, _size(span)
                    )
            found += last
        found.sort(key=lambda letter: (letter.time_ms, letter.partition, letter.offset))
        return found[-limit:], count

    async def one(self, partition: int, offset: int) -> DeadLetter | None:
        """The dead letter at a place; None where there is none."""
        if partition not in await self.partitions():
            return None
        found = None
        bounds = await self.bounds(self.dead_at(partition))
        if bounds.start <= offset < bounds.stop:
            async for letters in self.letters(partition, Span(offset, offset + 1), Filters()):
                found = letters[0]
        return found

    async def replays(self, partition: int, since_ms: int, on_progress: OnProgress) -> dict[EventKey, int]:
        """The events that were replayed since a time, with the raw offset of each one's last replay."""
        at = self.raw_at(partition)
        span = Span(await self.since(at, max(0, since_ms - MARGIN_MILLISECONDS)), await self.raw_end(partition))
        found: dict[EventKey, int] = {}
        async for records in self.readable(at, span):
            for record in records:
                if (event := replayed_event(record.headers)) is not None:
                    found[event] = record.offset
            on_progress(f"raw records of partition {partition}", records[-1].offset + 1 - span.start, _size(span))
        return found

    async def normalized_to(self, partition: int) -> int:
        """Up to which raw offset the stream has dealt with a partition, dead letters included."""
        at = self.raw_at(partition)
        return await self.committed(self.topics.stream_group, at) or 0


def _size(span: Span) -> int:
    return span.stop - span.start
