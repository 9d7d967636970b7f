"""Carries out the audit of a span of raw offsets: counts first, then a closer look where they leave a question."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from sink.audit import Evidence, Offsets, Raw, Result, Span, judge, questionable, suspicious
from sink.audit_table import AuditTable

WINDOW = 4_000_000
EVIDENCE = 2_000


class RawRecords(Protocol):
    """Who can read the raw topic."""

    async def raw(self, partition: int, offsets: Sequence[int]) -> dict[int, Raw]:
        """The raw records at these offsets, which are in order; those that have expired are left out."""


class Auditor:
    """Holds Kafka against ClickHouse.  All methods raise Unavailable where one of them does not answer."""

    def __init__(self, records: RawRecords, table: AuditTable, window: int = WINDOW) -> None:
        self._records = records
        self._table = table
        self._window = window

    async def audit(self, partition: int, span: Span, dead: Offsets) -> AsyncIterator[tuple[Span, Result]]:
        """The result of one window after the other.

        Args:
            partition: of the raw topic.
            span: settled offsets.
            dead: all dead letters of the span; they must have been read after it was known to be settled.
        """
        for window in span.pieces(self._window):
            counts = await self._table.counts(partition, window)
            rows = sum(count.rows for count in counts.values())
            result = Result(window.stop - window.start, rows, dead.count(window))
            for part in suspicious(window, counts, dead):
                result.add(await self._look_into(partition, part, set(dead.within(part))))
            yield window, result

    async def examine(self, partition: int, offsets: Sequence[int], dead: Collection[int]) -> Result:
        """Judge single offsets, which are in order; `dead` are those of them that have a dead letter."""
        result = Result()
        for start in range(0, len(offsets), EVIDENCE):
            some = offsets[start : start + EVIDENCE]
            raw = await self._records.raw(partition, some)
            rows = await self._table.rows(partition, some)
            # Last: a merge between the two answers leaves one row of the event, and this finds it.
            gone = {raw[offset].event_id for offset in raw if offset not in dead}
            stored = await self._table.stored({event_id for event_id in gone if event_id is not None})
            known = {at: {*rows.get(at, ()), *stored} for at in raw}
            lost = {at: raw[at] for at in raw if at not in dead and raw[at].event_id not in known[at]}
            result.add(judge(some, dead, Evidence(raw, rows, stored, await self._past(lost))))
        return result

    async def _past(self, lost: Mapping[int, Raw]) -> set[int]:
        """Which of these offsets may have had a row that its team no longer keeps."""
        if not lost:
            return set()
        retention, now = await self._table.retention(), datetime.now(UTC)
        return {
            offset
            for offset, raw in lost.items()
            if raw.received_at is not None and retention.may_have_deleted(raw.team, raw.received_at, now)
        }

    async def _look_into(self, partition: int, part: Span, dead: Collection[int]) -> Result:
        absent = await self._table.absent(partition, part)
        doubled = await self._table.doubled(partition, part)
        return await self.examine(partition, questionable(absent, doubled, dead), dead)
