"""The loop: hands fetched records to their partitions, and follows the group's rebalances.

It never waits for ClickHouse, so the membership in the group goes on while ClickHouse is away.
"""

import asyncio
import time

from aiokafka.errors import KafkaError

from schemas import metrics
from schemas.logs import get_logger
from sink.partition import Partition, Ways

log = get_logger(__name__)

REVOKE_SECONDS = 5.0
WATCH_SECONDS = 5.0
STALLED_SECONDS = 60.0


class Stalled(Exception):
    """Records wait in Kafka, and the client brings none (aiokafka#847, #1154): only a new process helps."""


class Consumer:
    """All partitions of one process."""

    def __init__(self, ways: Ways, stop_seconds: float) -> None:
        self._ways = ways
        self._source = ways.source
        self._stop_seconds = stop_seconds
        self._partitions: dict[int, Partition] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._joined = False
        self._progress: dict[int, tuple[int, float]] = {}

    @property
    def ready(self) -> bool:
        """Whether it has its partitions, and ClickHouse answers."""
        return self._joined and self._ways.writer.answers and all(p.opened for p in self._partitions.values())

    @property
    def partitions(self) -> frozenset[int]:
        """Which ones it has at the moment."""
        return frozenset(self._partitions)

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; then store what was collected.

        Raises:
            ExceptionGroup: anything that only a new process helps against; nothing was committed past it.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            endless = [tasks.create_task(self._consume()), tasks.create_task(self._watch())]
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
        self._partitions, self._progress, self._joined = {}, {}, False

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
        await self._ways.dead_letters.start()
        await self._source.start(self)
        while True:
            wanted = [number for number, partition in self._partitions.items() if partition.wants_records]
            for number, records in (await self._source.fetch(wanted)).items():
                partition = self._partitions.get(number)
                # A fetch that outlived a rebalance may bring what is not open yet; opening seeks, so that comes again.
                if partition is not None and partition.wants_records:
                    partition.add(records)
            metrics.BUFFERED_BYTES.set(sum(p.buffered_bytes for p in self._partitions.values()))

    async def _watch(self) -> None:
        """Measure how far behind each partition is, and end the process when one stands still."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            opened = {number: p for number, p in self._partitions.items() if p.opened}
            try:
                ends = await self._source.ends(opened) if opened else {}
            except KafkaError as error:
                log.warning("kafka_away", error=repr(error))
                self._progress.clear()
                continue
            for number, end in ends.items():
                if self._partitions.get(number) is opened[number]:
                    self._check(opened[number], end, time.monotonic())

    def _check(self, partition: Partition, end: int, now: float) -> None:
        metrics.CONSUMER_LAG_RECORDS.labels(partition.number).set(end - partition.committed)
        offset, since = self._progress.get(partition.number, (-1, now))
        if offset != partition.next_offset or not partition.wants_records or end <= partition.next_offset:
            self._progress[partition.number] = (partition.next_offset, now)
        elif now - since > STALLED_SECONDS:
            raise Stalled(f"partition {partition.number} stands at {offset} of {end} for {now - since:.0f} s")
