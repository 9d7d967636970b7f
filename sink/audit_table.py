"""What the audit asks of ClickHouse: the rows as they are stored, never through FINAL, and how long they are kept."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from schemas.retention import Retention
from sink.audit import BUCKET, Count, Span
from sink.retention import RetentionTable
from sink.writer import Writer

_WITHIN = "_raw_partition = {partition:d} AND _raw_offset >= {span.start:d} AND _raw_offset < {span.stop:d}"
# A bitmap counts exactly, as uniqExact does, in a bit per offset.
_COUNTS = """
SELECT intDiv(_raw_offset, {bucket:d}) AS bucket, count(), groupBitmap(toUInt32(_raw_offset % {bucket:d}))
FROM {table} WHERE {within} GROUP BY bucket"""
_ABSENT = """
SELECT {span.start:d} + number AS absent FROM numbers({size:d})
WHERE absent NOT IN (SELECT _raw_offset FROM {table} WHERE {within})"""
_DOUBLED = "SELECT _raw_offset FROM {table} WHERE {within} GROUP BY _raw_offset HAVING count() > 1"
_ROWS = "SELECT _raw_offset, event_id FROM {table} WHERE {within} AND _raw_offset IN ({offsets})"
_STORED = "SELECT DISTINCT event_id FROM {table} WHERE event_id IN ({event_ids})"


class AuditTable:
    """Questions about one partition each; all of them raise WarehouseUnavailable where ClickHouse does not answer.

    Args:
        writer: the way into ClickHouse.
        database: the warehouse's name.
        settings: of each query.
    """

    def __init__(self, writer: Writer, database: str, settings: Mapping[str, int] | None = None) -> None:
        self._writer = writer
        self._table = f"{database}.events"
        self._settings = settings or {}
        self._retention = RetentionTable(writer, database)

    async def counts(self, partition: int, span: Span) -> dict[int, Count]:
        """Rows and different offsets of each bucket; one without rows is left out."""
        rows = await self._within(_COUNTS, partition, span, bucket=BUCKET)
        return {int(bucket): Count(int(count), int(offsets)) for bucket, count, offsets in rows}

    async def absent(self, partition: int, span: Span) -> set[int]:
        """The offsets of a span that have no row."""
        rows = await self._within(_ABSENT, partition, span, size=span.stop - span.start)
        return {int(offset) for (offset,) in rows}

    async def doubled(self, partition: int, span: Span) -> set[int]:
        """The offsets of a span that have several rows."""
        rows = await self._within(_DOUBLED, partition, span)
        return {int(offset) for (offset,) in rows}

    async def rows(self, partition: int, offsets: Sequence[int]) -> dict[int, list[str]]:
        """The event ids of the rows at these offsets, which are in order."""
        if not offsets:
            return {}
        span, listed = Span(offsets[0], offsets[-1] + 1), ",".join(map(str, offsets))
        found: defaultdict[int, list[str]] = defaultdict(list)
        for offset, event_id in await self._within(_ROWS, partition, span, offsets=listed):
            found[int(offset)].append(event_id)
        return dict(found)

    async def stored(self, event_ids: Collection[str]) -> set[str]:
        """Which of these event ids have a row, at whatever offset."""
        if not event_ids:
            return set()
        listed = ",".join(f"'{event_id}'" for event_id in event_ids)
        return {event_id for (event_id,) in await self._ask(_STORED, event_ids=listed)}

    async def retention(self) -> Retention:
        """For how long teams keep their rows, and kept them."""
        return await self._retention.read()

    async def _within(self, query: str, partition: int, span: Span, **values: object) -> list[list[str]]:
        within = _WITHIN.format(partition=partition, span=span)
        return await self._ask(query, within=within, span=span, **values)

    async def _ask(self, query: str, **values: object) -> list[list[str]]:
        return await self._writer.query(query.format(table=self._table, **values), self._settings)
