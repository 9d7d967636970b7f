"""What the audit asks of Kafka: it joins no group and commits nothing.

Every method raises Unavailable where Kafka does not answer.
"""

import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import ConsumerRecord

from schemas.topics import EVENT_ID, RAW_OFFSET, RECEIVED_AT, TEAM
from sink.audit import Marks, Raw, Span, settled
from sink.topic_log import TopicLog, translated

# Reading on costs less than a seek where the next record wanted is this near.
NEAR = 1_000
# Clocks of ingress and stream differ, and an audit takes its time.
MARGIN_MILLISECONDS = 3_600_000
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class AuditLog(TopicLog):
    """The three topics of one pipeline, as the audit looks at them."""

    async def auditable(self, partition: int) -> Span:
        """The raw offsets that are settled, less those whose dead letters may have expired."""
        raw = await self.bounds(self.raw_at(partition))
        stop = settled(await self._marks(partition))
        start = await self.raw_since(partition, await self._dead_letters_since_ms())
        return Span(max(raw.start, start), max(raw.start, start, min(stop, raw.stop)))

    async def raw_since(self, partition: int, time_ms: int | None) -> int:
        """The first raw offset of a record that is not older; the beginning for None."""
        return await self.since(self.raw_at(partition), time_ms)

    async def dead_letters_since(self, partition: int, time_ms: int | None) -> int:
        """Where in the log of dead letters to look for raw records that are not older; the beginning for None."""
        before = None if time_ms is None else max(0, time_ms - MARGIN_MILLISECONDS)
        return await self.since(self.dead_at(partition), before)

    async def dead_letters(self, partition: int, position: int) -> AsyncIterator[tuple[int, list[int]]]:
        """Read the dead letters from a position to the end, in pieces: the next position, and their raw offsets."""
        at = self.dead_at(partition)
        stop = (await self.bounds(at)).stop
        async for records in self.read(at, Span(position, stop)):
            headers = [dict(record.headers).get(RAW_OFFSET) for record in records]
            yield records[-1].offset + 1, [int(value) for value in headers if value is not None and value.isdigit()]

    async def raw(self, partition: int, offsets: Sequence[int]) -> dict[int, Raw]:
        """The raw records at these offsets, which are in order; those that have expired are left out."""
        at = self.raw_at(partition)
        first = (await self.bounds(at)).start
        wanted = [offset for offset in offsets if offset >= first]
        found: dict[int, Raw] = {}
        for near in _near(wanted):
            names = set(near)
            try:
                async for records in self.read(at, Span(near[0], near[-1] + 1)):
                    found |= {record.offset: _raw(record) for record in records if record.offset in names}
            except UnicodeDecodeError:
                for offset in near:
                    found[offset] = found.get(offset) or await self._single(at, offset)
        return found

    async def _single(self, at: TopicPartition, offset: int) -> Raw:
        """One record, of which aiokafka can tell nothing where a header's name is not UTF-8."""
        found = Raw(None, 0)
        with suppress(UnicodeDecodeError):
            async for records in self.read(at, Span(offset, offset + 1), most=1):
                found = _raw(records[0])
        return found

    async def _marks(self, partition: int) -> Marks:
        topics, at = self.topics, self._normalized(partition)
        by_stream = await self.committed(topics.stream_group, self.raw_at(partition))
        normalized = await self.bounds(at)
        by_sink = await self.committed(topics.sink_group, at)
        last: int | None = None
        if by_sink is not None and normalized.start < by_sink <= normalized.stop:
            async for records in self.read(at, Span(by_sink - 1, by_sink), most=1):
                value = dict(records[0].headers).get(RAW_OFFSET)
                last = int(value) if value is not None and value.isdigit() else None
        return Marks(by_stream, normalized, by_sink, last)

    async def _dead_letters_since_ms(self) -> int | None:
        """From when on no dead letter can have expired; None for always.

        The raw log often keeps a record for longer than its dead letter, as both expire in segments.
        """
        resource = ConfigResource(ConfigResourceType.TOPIC, self.topics.dead_letter, {"retention.ms": None})
        with translated():
            (answer,) = await self.admin.describe_configs([resource])
        values = {entry[0]: entry[1] for _, _, _, _, entries in answer.resources for entry in entries}
        retention = int(values.get("retention.ms") or -1)
        if retention < 0:
            return None
        return max(0, round(time.time() * 1_000) - retention + min(MARGIN_MILLISECONDS, retention // 10))

    def _normalized(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topics.normalized, partition)


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
    headers = dict(record.headers)
    event_id, team, received_at = (
        (headers.get(name) or b"").decode(errors="replace") for name in (EVENT_ID, TEAM, RECEIVED_AT)
    )
    known = event_id.lower() if _UUID.fullmatch(event_id.lower()) else None
    return Raw(known, record.timestamp, team, _moment(received_at))


def _moment(text: str) -> datetime | None:
    """A time as headers have it."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
