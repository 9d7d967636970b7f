"""The loop: hands fetched records to their partitions, and follows the group's rebalances.

It never waits for ClickHouse, so the membership in the group goes on while ClickHouse is away.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from itertools import chain

from schemas import metrics
from schemas.codec import SCHEMA_HEADER_BYTES
from schemas.logs import get_logger
from schemas.schema_log import SchemaLog
from schemas.stalls import Standing
from sink.partition import Partition, Ways
from sink.rows import Record, is_known

log = get_logger(__name__)

REVOKE_SECONDS = 5.0


class Consumer:
    """All partitions of one process."""

    def __init__(self, ways: Ways, schemas: SchemaLog, stop_seconds: float) -> None:
        self._ways = ways
        self._schemas = schemas
        self._known = set[tuple[bytes, int]]()
        self._source = ways.source
        self._stop_seconds = stop_seconds
        self._partitions: dict[int, Partition] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._joined = False

    @property
    def ready(self) -> bool:
        """Whether it has its partitions, and ClickHouse answers."""
        return self._joined and self._ways.writer.answers and all(p.opened for p in self._partitions.values())

    @property
    def partitions(self) -> frozenset[int]:
        """Which ones it has at the moment."""
        return frozenset(self._partitions)

    def standing(self) -> Standing:
        """Where each partition stands, less those that wait for ClickHouse."""
        reading = {n: self._source.reading(n, p.next_offset) for n, p in self._partitions.items() if p.wants_records}
        writing = {f"partition {n}'s commit": p.committed for n, p in self._partitions.items() if p.awaits_kafka}
        return Standing(self._joined, reading, writing)

    def note_ends(self, ends: Mapping[int, int]) -> None:
        """Tell how far each partition is behind."""
        for number in self._partitions.keys() & ends.keys():
            if (partition := self._partitions[number]).opened:
                metrics.CONSUMER_LAG_RECORDS.labels(number).set(max(0, ends[number] - partition.committed))

    async def run(self, stop: asyncio.Event, *beside: Coroutine[None, None, None]) -> None:
        """Until told to stop; then store what was collected.  Others run beside it until then, and end with it.

        Raises:
            ExceptionGroup: anything that only a new process helps against; nothing was committed past it.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            endless = [tasks.create_task(each) for each in (self._consume(), *beside)]
            await stop.wait()
            for task in endless:
                task.cancel()
            for partition in self._partitions.values():
                partition.stop()
            await self._end(self._stop_seconds)
            self._tasks = None

    def on_assigned(self, partitions: set[int]) -> None:
        """Begin with each; nothing is delivered before it is opened."""
        if self._tasks is None:
            return
        self._partitions = {number: Partition(number, self._ways) for number in partitions}
        self._running = {self._tasks.create_task(partition.run()) for partition in self._partitions.values()}
        self._joined = True
        log.info("partitions_assigned", partitions=sorted(partitions))

    async def on_revoked(self) -> None:
        """Let inserts that are under way end, for a moment; drop the rest."""
        for partition in self._partitions.values():
            partition.revoke()
        await self._end(REVOKE_SECONDS)
        for number in self._partitions:
            for gauge in (metrics.CONSUMER_LAG_RECORDS, metrics.COMMITTED_OFFSET):
                gauge.remove(str(number))
        self._partitions, self._joined = {}, False

    async def _end(self, seconds: float) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            log.warning("inserts_abandoned", partitions=len(late), todo="nothing: they are done again")
            await asyncio.wait(late)
        self._running = set()

    async def _consume(self) -> None:
        await self._schemas.caught_up()
        await self._ways.dead_letters.start()
        await self._source.start(self)
        while True:
            wanted = [number for number, partition in self._partitions.items() if partition.wants_records]
            fetched = await self._source.fetch(wanted)
            await self._learn(chain.from_iterable(fetched.values()))
            for number, records in fetched.items():
                partition = self._partitions.get(number)
                # A fetch that outlived a rebalance may bring what is not open yet; opening seeks, so that comes again.
                if partition is not None and partition.wants_records:
                    partition.add(records)
            metrics.BUFFERED_BYTES.set(sum(p.buffered_bytes for p in self._partitions.values()))

    async def _learn(self, records: Iterable[Record]) -> None:
        """Read the schemas that these records name: each was published before its first record.

        Records of one id and with as many headers are of one kind, so one of them is looked at.
        """
        kinds = {(each.value[:SCHEMA_HEADER_BYTES], len(each.headers)): each for each in records if each.value}
        new = {kind: each for kind, each in kinds.items() if kind not in self._known}
        registered = self._ways.registered
        if not all(is_known(each, registered) for each in new.values()):
            await self._schemas.caught_up()
        # What is unknown still is a dead letter; whether it becomes known is asked again with the next one.
        self._known.update(kind for kind, each in new.items() if is_known(each, registered))
