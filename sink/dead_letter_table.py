"""Keeps `warehouse.dead_letters`: reads the topic beside the sink's own work, inserts, and then commits.

At least once: the table knows a dead letter that comes again.  Kafka or ClickHouse being away holds up nothing but
this; anything unexpected ends the process.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import aclosing
from hashlib import sha256
from itertools import count

from schemas import metrics
from schemas.errors import Unavailable
from schemas.fatal import end_process
from schemas.logs import get_logger
from sink.audit import Span
from sink.backoff import pause_seconds
from sink.dead_letter_log import DeadLetterLog
from sink.dead_letter_rows import COLUMNS, Letters
from sink.settings import SinkSettings
from sink.tables import Tables
from sink.writer import MISSING_TABLE, WarehouseUnavailable, Writer

log = get_logger(__name__)

TABLE = "dead_letters"
MAX_BATCH_BYTES = 8 << 20
KAFKA_RETRY_SECONDS = 5.0


class DeadLetterTable:
    """Stores the dead letters of the partitions that the process has.

    Args:
        settings: of the sink.
        partitions: tells which ones it has at the moment.
    """

    def __init__(self, settings: SinkSettings, partitions: Callable[[], Collection[int]]) -> None:
        self._settings = settings
        self._partitions = partitions
        self._positions: dict[int, int] = {}
        self._writer = Writer(settings, settings.sink_insert_timeout_seconds)
        self._tables = Tables(self._writer, settings.clickhouse_database)
        self._waits = False

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            async with self._writer:
                while True:
                    await self._follow()
                    await asyncio.sleep(KAFKA_RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001 - raised, it would be noticed by nobody
            end_process(error)

    async def _follow(self) -> None:
        """Until Kafka does not answer."""
        try:
            async with DeadLetterLog(self._settings) as letters:
                while True:
                    await self._round(letters)
                    self._waits = False
                    await asyncio.sleep(self._settings.sink_max_batch_age_seconds)
        except Unavailable as error:
            if not self._waits:
                log.warning("dead_letters_wait", error=str(error), todo="nothing: it goes on when that answers")
            self._waits = True

    async def _round(self, letters: DeadLetterLog) -> None:
        """Store everything that is there now."""
        partitions = sorted(self._partitions())
        self._positions = {n: self._positions[n] for n in partitions if n in self._positions}
        for partition in partitions:
            if partition not in self._positions:
                self._positions[partition] = await letters.position(partition)
        batch = Letters(self._settings.clickhouse_database)
        ends = await letters.ends(partitions) if partitions else {}
        for partition, end in ends.items():
            while not await _read(letters, partition, Span(self._positions[partition], end), batch):
                await self._store(batch, letters)
                batch = Letters(self._settings.clickhouse_database)
        await self._store(batch, letters)

    async def _store(self, batch: Letters, letters: DeadLetterLog) -> None:
        if not batch.ends:
            return
        if batch.rows:
            await self._insert(batch)
        await letters.commit(batch.ends)
        self._positions |= batch.ends

    async def _insert(self, batch: Letters) -> None:
        """Until ClickHouse has taken it, the same bytes under the same token."""
        body = b"".join(batch.rows)
        token = f"v1/{TABLE}/{sha256(body).hexdigest()}"
        for tries in count():
            try:
                await self._tables.ensure(batch.teams)
                await self._writer.insert_row_binary(TABLE, COLUMNS, body, token)
                break
            except WarehouseUnavailable as error:
                metrics.INSERT_RETRIES.labels(error.reason).inc()
                if error.reason == MISSING_TABLE:
                    self._tables.forget()
            await asyncio.sleep(pause_seconds(tries))
        metrics.DEAD_LETTER_ROWS.inc(len(batch.rows))
        log.debug("dead_letters_stored", rows=len(batch.rows), ends=batch.ends)


async def _read(letters: DeadLetterLog, partition: int, span: Span, batch: Letters) -> bool:
    """Add a span of dead letters to the batch, as many as fit; return whether all of them did.

    A full batch is stored when the reading has ended: a commit changes what the consumer reads.
    """
    if span.start >= span.stop:
        return True
    async with aclosing(letters.readable(letters.dead_at(partition), span)) as pieces:
        async for records in pieces:
            batch.add(records)
            if batch.bytes >= MAX_BATCH_BYTES:
                return False
    # Also past records that cannot be read at all: a header's name is not UTF-8.
    batch.ends[partition] = span.stop
    return True
