"""Stores one partition, each row once: the order of offset commits and inserts that makes it so.

Before an insert the range's end is committed as a note beside its start, so a member that has lost the partition cannot
begin one, and a successor redoes exactly the range that may be under way, under the same deduplication token.  Where
rows may be in the table already, it is asked.  docs/adr/0003 tells why this suffices.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeVar

from schemas import metrics
from schemas.errors import ErrorCode
from schemas.logs import get_logger
from schemas.registered import Registered
from sink.backoff import pause_seconds
from sink.batch import NOTHING, Batch, Collector, Limits, RowId
from sink.inserts import EVENTS, Insert, Targets
from sink.kafka import Committed, DeadLetters, LostPartition, Source
from sink.offsets import Note
from sink.rows import Record
from sink.tables import Tables
from sink.writer import MISSING_TABLE, RejectedRows, WarehouseUnavailable, Writer

log = get_logger(__name__)

SETTLE_SECONDS = 1.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ways:
    """What the partitions of one process share."""

    source: Source
    writer: Writer
    tables: Tables
    targets: Targets
    dead_letters: DeadLetters
    limits: Limits
    registered: Registered


class Partition:
    """One assigned partition, from its assignment until it is revoked.

    While one batch is inserted the next one is collected; when that is complete too, it wants no more records.

    Attributes:
        committed: the offset that was committed last.
        awaits_kafka: whether it waits for Kafka's word, be it that the partition is another member's by now.
    """

    def __init__(self, number: int, ways: Ways) -> None:
        self.number = number
        self.committed = 0
        self.awaits_kafka = False
        self._ways = ways
        self._collector: Collector | None = None
        self._rest: Sequence[Record] = ()
        self._inserting_bytes = 0
        self._seen_to = NOTHING
        self._refetched = -1
        self._changed = asyncio.Event()
        self._revoked = asyncio.Event()
        self._stopping = False

    @property
    def opened(self) -> bool:
        """Whether it is known where to go on."""
        return self._collector is not None

    @property
    def wants_records(self) -> bool:
        """Whether `add` may be called."""
        return self._collector is not None and not self._collector.complete

    @property
    def next_offset(self) -> int:
        """The offset of the next record to take."""
        return self._collector.end if self._collector else self.committed

    @property
    def buffered_bytes(self) -> int:
        """What waits in memory for its insert to end."""
        return self._inserting_bytes + (self._collector.bytes if self._collector else 0)

    def add(self, records: Sequence[Record]) -> None:
        """Take the next records; where some are left out, ask for them once more before it is believed."""
        assert self._collector is not None, "wants_records was asked"  # noqa: S101 - the order of calls, not an input
        expected, found = self._collector.end, records[0].offset
        if found > expected and self._refetched != expected:
            log.warning("records_refetched", partition=self.number, expected=expected, found=found)
            self._refetched = expected
            self._ways.source.seek(self.number, expected)
            return
        if found > expected:
            log.error(
                "records_missing", partition=self.number, expected=expected, found=found, cause="expired in Kafka"
            )
        self._rest = self._collector.add(records, time.monotonic())
        self._changed.set()

    def stop(self) -> None:
        """Store what was collected, whatever its age, and end."""
        self._stopping = True
        self._changed.set()

    def revoke(self) -> None:
        """End after the insert that is under way; another member redoes it where it fails."""
        self._revoked.set()
        self._changed.set()

    async def run(self) -> None:
        """Store batch after batch until stopped or revoked."""
        try:
            await self._open()
            while (batch := await self._next_batch()) is not None:
                await self._store(batch)
                self._inserting_bytes = 0
        except LostPartition:
            self.awaits_kafka = True
            log.info("partition_lost", partition=self.number)

    async def _open(self) -> None:
        committed = await self._by_kafka(self._ways.source.committed(self.number))
        note = committed.note

        async def find(_tries: int) -> int:
            await self._ways.tables.ensure()
            table = self._ways.targets.events.table
            return await self._ways.writer.highest_raw(table, self.number, note.highest_raw)

        self._seen_to = await self._patiently(find)
        reopened = note.open_end is not None and note.open_end > committed.offset
        self.committed = committed.offset
        # Last, and in one step: a fetch that outlived the rebalance may have delivered records to nobody until now.
        self._ways.source.seek(self.number, committed.offset)
        self._collector = self._collect(committed.offset, note.open_end if reopened else None)
        log.info("partition_opened", partition=self.number, offset=committed.offset, reopened=reopened)

    def _collect(self, start: int, until: int | None = None) -> Collector:
        return Collector(self._ways.limits, start, until, self._ways.registered)

    async def _next_batch(self) -> Batch | None:
        collector = self._collector
        while collector is not None and not self._revoked.is_set():
            due = collector.due(time.monotonic())
            if self._stopping and not collector.complete:
                # A range that an earlier attempt has fixed is redone whole or not at all.
                due = None if collector.empty or collector.until is not None else 0
                if due is None:
                    break
            if due == 0:
                return self._take(collector)
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(due):
                    await self._changed.wait()
        return None

    def _take(self, collector: Collector) -> Batch:
        batch = collector.finish()
        self._collector = self._collect(batch.end)
        self._rest = self._collector.add(self._rest, time.monotonic())
        self._inserting_bytes = collector.bytes
        return batch

    async def _store(self, batch: Batch) -> None:
        """Until its rows are in the table and its end is committed."""
        try:
            stored = await self._patiently(lambda tries: self._insert(batch, doubtful=batch.reopened or tries > 0))
        except RejectedRows as error:
            if len(batch.rows) > 1:
                for half in batch.split():
                    await self._store(half)
                return
            dead = batch.rows[0].refuse(ErrorCode.NOT_INSERTABLE, str(error))
            stored = replace(batch, rows=(), refused=[*batch.refused, dead])
        if stored.refused:
            await self._by_kafka(self._ways.dead_letters.send(self.number, stored.refused))
        self._seen_to = max(self._seen_to, batch.highest_raw)
        await self._commit(batch.end, Note(None, self._seen_to))
        self.committed = batch.end
        self._count(stored)

    async def _insert(self, batch: Batch, *, doubtful: bool) -> Batch:
        """One attempt; returns what of the batch was not in the table before."""
        if not batch.rows:
            return batch
        if self._revoked.is_set():
            raise LostPartition(self.number)
        await self._commit(batch.start, Note(batch.end, self._seen_to))
        await self._ways.tables.ensure(batch.teams, batch.writer_ids)
        targets = self._ways.targets
        if doubtful or batch.lowest_raw <= self._seen_to:
            batch = batch.without(await self._present(targets.events.table, batch, doubtful=doubtful))
        *before, last = targets.inserts(batch)
        for insert in before:
            # An earlier attempt at the same range may have come this far.
            present = await self._present(insert.target.table, insert.batch, doubtful=True) if doubtful else set()
            await self._send(replace(insert, batch=insert.batch.without(present)))
        await self._send(last)
        return batch

    async def _send(self, insert: Insert) -> None:
        batch, target = insert.batch, insert.target
        if not batch.rows:
            return
        log.debug("insert_begins", partition=self.number, start=batch.start, rows=len(batch.rows), table=target.table)
        token = batch.deduplication_token(self._ways.source.topic, self.number, target.name)
        with metrics.INSERT_SECONDS.time():
            await self._ways.writer.insert(target.table, target.container, insert.bodies(), token)
        metrics.INSERT_ROWS.observe(len(batch.rows))
        if target.kind is not EVENTS:
            metrics.SCHEMA_ROWS_INSERTED.labels(target.kind).inc(len(batch.rows))

    async def _present(self, table: str, batch: Batch, *, doubtful: bool) -> set[RowId]:
        """Which of its rows are in a table, once no earlier insert is seen to be half done."""
        present: set[RowId] = set()
        while True:
            found = await self._ways.writer.present(table, self.number, batch.lowest_raw, batch.highest_raw)
            missing = len(batch.without(found).rows)
            if not doubtful or missing in {0, len(batch.rows)} or found == present:
                return found
            present = found
            await self._wait(SETTLE_SECONDS)

    async def _commit(self, offset: int, note: Note) -> None:
        await self._by_kafka(self._ways.source.commit(self.number, Committed(offset, note)))

    async def _by_kafka(self, work: Awaitable[T]) -> T:
        self.awaits_kafka = True
        try:
            return await work
        finally:
            self.awaits_kafka = False

    async def _patiently(self, attempt: Callable[[int], Awaitable[T]]) -> T:
        """Attempt it until ClickHouse answers; `attempt` is told how often it was tried before."""
        for tries in count():
            try:
                return await attempt(tries)
            except WarehouseUnavailable as error:
                metrics.INSERT_RETRIES.labels(error.reason).inc()
                if error.reason == MISSING_TABLE:
                    self._ways.tables.forget()
            await self._wait(pause_seconds(tries))
        raise AssertionError("count() is endless")

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._revoked.wait()
                raise LostPartition(self.number)

    def _count(self, stored: Batch) -> None:
        metrics.COMMITTED_OFFSET.labels(self.number).set(self.committed)
        metrics.REPEATS_DROPPED.inc(stored.repeats)
        for refused in stored.refused:
            metrics.DEAD_LETTERS.labels(refused.reason).inc()
        log.debug("batch_stored", partition=self.number, start=stored.start, end=stored.end, rows=len(stored.rows))
        metrics.ROWS_INSERTED.labels(EVENTS).inc(len(stored.rows))
