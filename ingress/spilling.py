"""A lane that puts its records on disk while Kafka does not acknowledge them, and drains the disk in order.

The lane's records are, oldest first: the files, then what waits in memory.  Once the oldest in memory has waited too
long, the lane is away: all of it goes into files, and its senders are told 200 when that is synced.  The one that
Kafka has in hand gets a file too, which is deleted when Kafka has acknowledged it.  When only the last file is left to
be sent, the lane is back: what arrives waits in memory behind it.
Invariant: a record is sent only after all that was added before it is acknowledged; a file is deleted only then.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from ingress.backoff import pause_seconds
from ingress.envelope import RawRecord
from ingress.flush import Flush
from ingress.frames import Ending
from ingress.kafka import RawTopic
from ingress.lane import FULL, REFUSED
from ingress.lane_files import LaneFiles, SpillFile
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.metrics import RECORDS_DRAINED, RECORDS_SPILLED
from schemas.topics import MAX_RECORD_BYTES

HEADERS_BYTES = 512
"""About what a record takes beside key and value, in Kafka or in memory."""
COMPLAINT_SECONDS = 10.0
T = TypeVar("T")

_log = get_logger(__name__)


class _RecordsFlush(Flush):
    """Records as such, since they may go to disk as well as to Kafka.

    Attributes:
        opened_at: in the event loop's time.
        file: where they are on disk.
    """

    __slots__ = ("file", "opened_at", "records")

    def __init__(self) -> None:
        super().__init__()
        self.records: list[RawRecord] = []
        self.opened_at = self._loop.time()
        self.file: SpillFile | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a lane may hold in memory, and for how long."""

    max_bytes: int
    spill_after_seconds: float


class SpillingLane:
    """The lane of an ingress with a spill; until `connect` it is away."""

    def __init__(
        self,
        partition: int,
        files: LaneFiles,
        disk: Executor,
        limits: Limits,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._partition = partition
        self._files = files
        self._disk = disk
        self._limits = limits
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._topic: RawTopic | None = None
        self._waiting: deque[_RecordsFlush] = deque()
        self._in_flight: _RecordsFlush | None = None
        # Held while files are written or read, so that both tasks see files and memory as they are.
        self._filing = asyncio.Lock()
        self._sending: asyncio.Task[None] | None = None
        self._spilling: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refused: Unavailable | None = None
        self._away = True
        self._spilled = bool(files)
        self._closing = False
        self._complained_at = -math.inf
        self.pending_bytes = 0

    @property
    def spilling(self) -> bool:
        """Whether new records go to disk."""
        return self._away

    def connect(self, topic: RawTopic) -> None:
        """Kafka has been reached: drain what is on disk."""
        self._topic = topic
        self._send()

    def add(self, record: RawRecord) -> Flush:
        """Put a record behind all others, and return what it goes out with.

        Raises:
            Unavailable: where too much waits in memory already.
        """
        if self._refused:
            raise self._refused
        if self.pending_bytes >= self._limits.max_bytes:
            raise Unavailable(FULL)
        flush = self._waiting[-1] if self._waiting else self._open()
        if flush.bytes >= MAX_RECORD_BYTES:
            flush = self._open()
        flush.records.append(record)
        size = len(record.value) + len(record.key) + HEADERS_BYTES
        flush.bytes += size
        self.pending_bytes += size
        return flush

    async def close(self, seconds: float) -> None:
        """Send what waits, for so long at most; what is left in memory then goes to disk."""
        self._closing = True
        if self._sending:
            await asyncio.wait({self._sending}, timeout=seconds)
        if self._spilling or self._unspilled():
            self._away = True
            await asyncio.wait({self._spill()}, timeout=seconds)
        for task in filter(None, (self._sending, self._spilling)):
            task.cancel()
            await asyncio.wait({task})

    def _open(self) -> _RecordsFlush:
        """A new flush behind the others; its tasks start in the next round of the event loop, with all of this one."""
        flush = _RecordsFlush()
        self._waiting.append(flush)
        if self._away:
            self._spill()
        elif self._timer is None:
            self._watch()
        self._send()
        return flush

    def _send(self) -> None:
        if self._sending is None and self._topic:
            self._sending = self._loop.create_task(self._send_waiting(self._topic))
            self._sending.add_done_callback(self._ended)

    def _spill(self) -> asyncio.Task[None]:
        if self._spilling is None:
            self._spilling = self._loop.create_task(self._spill_waiting())
            self._spilling.add_done_callback(self._ended)
        return self._spilling

    def _unspilled(self) -> _RecordsFlush | None:
        """The oldest records that are in memory only."""
        if self._in_flight and self._in_flight.file is None:
            return self._in_flight
        return self._waiting[0] if self._waiting else None

    def _watch(self) -> None:
        """Go away when the oldest in memory has waited too long."""
        self._timer = None
        if self._away or not (oldest := self._unspilled()):
            return
        due = oldest.opened_at + self._limits.spill_after_seconds
        if due > self._loop.time():
            self._timer = self._loop.call_at(due, self._watch)
        else:
            self._go_away()

    def _go_away(self) -> None:
        _log.warning("spilling", partition=self._partition)
        self._away = True
        self._spill()

    def _come_back(self) -> None:
        if self._spilled:
            _log.info("spilling_ended", partition=self._partition)
        self._away = self._spilled = False
        if self._timer is None:
            self._watch()

    async def _send_waiting(self, topic: RawTopic) -> None:
        """Send the oldest, on disk or not, until nothing is left."""
        while True:
            if self._waiting:
                await self._waiting[0].fill()
            async with self._filing:
                file = self._files.oldest
                found = await self._in_thread(self._files.read, file) if file else None
                # A file that was read takes no more: the lane may be back, and what arrives waits behind the last one.
                others = len(self._files) - bool(file)
                if not others:
                    self._come_back()
            if file and found and not (others and self._closing):
                await self._drain(topic, file, *found)
            elif self._waiting and not file:
                await self._send_flush(topic)
            else:
                break
        self._sending = None

    async def _drain(self, topic: RawTopic, file: SpillFile, records: Sequence[RawRecord], ending: Ending) -> None:
        if records:
            await self._deliver(topic, records)
        async with self._filing:
            await self._in_thread(self._files.delete, file, ending)
        RECORDS_DRAINED.inc(len(records))

    async def _send_flush(self, topic: RawTopic) -> None:
        self._in_flight = flush = self._waiting.popleft()
        await self._deliver(topic, flush.records)
        # A write of it that is under way ends first.
        async with self._filing:
            self._in_flight = None
            if flush.file:
                await self._in_thread(self._files.delete, flush.file)
                RECORDS_DRAINED.inc(len(flush.records))
        self.pending_bytes -= flush.bytes
        flush.settle(None)

    async def _deliver(self, topic: RawTopic, records: Sequence[RawRecord]) -> None:
        for batch in topic.batches(records):
            await topic.send(batch, self._partition)

    async def _spill_waiting(self) -> None:
        """Write the oldest in memory, until the lane is back or nothing is left."""
        failures = 0
        while self._away and self._unspilled():
            async with self._filing:
                failures = 0 if await self._wrote_oldest() else failures + 1
            if failures:
                await asyncio.sleep(pause_seconds(failures))
        self._spilling = None

    async def _wrote_oldest(self) -> bool:
        """Whether the disk took it."""
        flush = self._unspilled()
        if not self._away or flush is None:
            return True
        in_flight = flush is self._in_flight
        if not in_flight:
            # Nothing may be added to what is being written.
            self._waiting.popleft()
        try:
            flush.file = await self._in_thread(lambda: self._files.append(flush.records, alone=in_flight))
        except Unavailable as error:
            if not in_flight:
                self._waiting.appendleft(flush)
            self._complain(error)
            return False
        self._spilled = True
        RECORDS_SPILLED.inc(len(flush.records))
        if not in_flight:
            self.pending_bytes -= flush.bytes
        flush.settle(None)
        return True

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await self._loop.run_in_executor(self._disk, work, *arguments)

    def _complain(self, error: Unavailable) -> None:
        now = self._loop.time()
        if now - self._complained_at >= COMPLAINT_SECONDS:
            self._complained_at = now
            _log.error("not_spilled", partition=self._partition, reason=str(error))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or not (error := task.exception()):
            return
        # Nothing may follow what was refused, or the partition would have a gap.  What is on disk stays there.
        self._refused = Unavailable(REFUSED)
        for flush in filter(None, (self._in_flight, *self._waiting)):
            flush.settle(self._refused)
        self._in_flight = None
        self._waiting.clear()
        self._on_failure(error)
