"""A Faust transport that delivers whole runs: one Faust event is one fetched run of records of one partition.

Stock Faust pays two tasks, three turns of the event loop, a queue, an event and an acknowledgement per record; here
these are paid per run.  Nor has it a part in what is committed: its acknowledgements are switched off, and `Progress`
alone says what is finished.  The consumer lives in Faust's own event loop, not in a thread of its own, so its position
and our progress change together, and a loop that hangs loses its place in the group.

Every rebalance ends in `perform_seek`: what was fetched before it and not finished is fetched again by the next owner.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage

from schemas.logs import get_logger
from schemas.metrics import COMMITTED_OFFSET, CONSUMER_LAG_RECORDS
from schemas.stalls import Standing
from stream.progress import Progress, Run
from stream.raw_log import RawLog
from stream.records import RawRecord
from stream.settings import StreamSettings

# How long to wait for idle partitions while a busy one has no room.
IMPATIENCE_SECONDS = 0.02
SEEK_SECONDS = 30

_log = get_logger(__name__)


class Consumer(faust_consumer.Consumer):  # type: ignore[misc] # Faust is not typed for its users
    """Hands out runs, takes back word that they are finished, and commits that."""

    logger = logging.getLogger("faust")

    def __init__(self, transport: "Transport", *args: object, **kwargs: object) -> None:
        super().__init__(transport, *args, **kwargs)
        self._caught_up = transport.caught_up
        self._raw = RawLog(transport.settings)
        self._progress = Progress()
        self._committing = asyncio.Lock()
        self._room = asyncio.Event()
        self._gaps: dict[int, tuple[int, int]] = {}
        self.joined = False

    # What the agent calls.

    def is_next(self, run: Run) -> bool:
        """Whether to work on this run now; not where a rebalance or the end has begun.

        Raises:
            RunSkipped: where a run before it was lost.
        """
        return self.flow_active and self._progress.is_next(run)

    def finish(self, run: Run) -> None:
        """All that the run became is acknowledged: it may be committed, and the next one fetched."""
        self._progress.finish(run)
        self._room.set()

    # What the watchdog calls.

    @property
    def partitions(self) -> Collection[int]:
        """Those that the group gave us."""
        return self._progress.finished()

    def standing(self) -> Standing:
        """Where each partition stands; nothing of them before the rebalance has ended."""
        if not self.joined:
            return Standing(joined=False, reading={}, writing={})
        waiting = self._progress.waits_for_records()
        reading = {partition: self._raw.reading(partition, offset) for partition, offset in waiting.items()}
        return Standing(joined=True, reading=reading, writing=self._progress.waits_for_kafka())

    def note_ends(self, ends: Mapping[int, int]) -> None:
        """Tell how far we are behind; between two generations nobody is."""
        finished = self._progress.finished() if self._settled else {}
        for partition in finished.keys() & ends.keys():
            CONSUMER_LAG_RECORDS.labels(partition).set(max(0, ends[partition] - finished[partition]))

    # What Faust calls.

    async def on_start(self) -> None:
        """Connect."""
        await self._raw.start()

    async def on_stop(self) -> None:
        """Commit what is finished and leave the group."""
        await super().on_stop()
        await self._raw.stop()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group; the topics are the agent's, which is the raw one."""
        assert set(topics) == {self._raw.topic}  # noqa: S101 - the wiring is ours
        self._raw.subscribe(self._on_revoked, self._on_assigned)

    def stop_flow(self) -> None:
        """Hand out nothing more."""
        super().stop_flow()
        self.joined = False

    def resume_flow(self) -> None:
        """Hand out runs again; without any partition Faust skips `perform_seek`."""
        if self._progress.generation != self._raw.generation:
            self._progress.restart(self._raw.generation, {})
        super().resume_flow()
        self.joined = True
        self._room.set()

    def assignment(self) -> set[TP]:
        """The partitions that the group gave us."""
        return self._tps(self._raw.assignment())

    async def perform_seek(self) -> None:
        """Begin a generation at the committed offsets.

        Each position is set, the first one too: Faust's own seek leaves it where it is while nothing, or 0, is
        committed, and so skips what was fetched in the meantime.
        """
        generation = self._raw.generation
        async with asyncio.timeout(SEEK_SECONDS):
            starts = {partition: await self._start(partition) for partition in self._raw.assignment()}
        if generation != self._raw.generation:
            return
        for partition, offset in starts.items():
            self._raw.seek(partition, offset)
            COMMITTED_OFFSET.labels(partition).set(offset)
        self._progress.restart(generation, starts)
        self._gaps.clear()
        _log.info("partitions_assigned", generation=generation, offsets=starts)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - Faust's
        """The next runs, at most one of each partition."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
            return
        fetched = await self._fetch(timeout)
        generation = self._progress.generation
        if fetched:
            # Whatever was registered before Kafka took these records is known from here on.
            await self._caught_up()
        for partition, records in fetched.items():
            # While schemas are read, and whenever a run is taken, the partition may become another's.
            if not self._holds(generation):
                return
            if await self._follows(partition, records[0].offset) and self._holds(generation):
                run = self._progress.hand_out(partition, records, time.monotonic())
                tp = TP(self._raw.topic, partition)
                # Faust would drop what lies before an offset that it has seen; only we know where to go on.
                self._read_offset[tp] = None
                yield tp, _message(tp, run)

    async def commit(self, *_arguments: object, **_options: object) -> bool:
        """Commit what is finished; whether anything was."""
        async with self._committing:
            generation, offsets = self._progress.generation, self._progress.to_commit()
            if not offsets or not await self._raw.commit(offsets):
                return False
            self._progress.committed(offsets, generation)
            for partition, offset in offsets.items():
                COMMITTED_OFFSET.labels(partition).set(offset)
            return True

    # The rest.

    @property
    def _settled(self) -> bool:
        """Whether no rebalance is under way.  Faust alone cannot tell: it may resume the flow while the next begins."""
        return self.flow_active and self._progress.generation == self._raw.generation

    def _holds(self, generation: int) -> bool:
        """Whether what was fetched in this generation may still be handed out."""
        return self._settled and generation == self._progress.generation

    async def _on_revoked(self, partitions: set[int]) -> None:
        self.app.on_rebalance_start()
        # Faust forgets to where we have no partition yet, and would fetch the first ones before they are sought.
        self.stop_flow()
        CONSUMER_LAG_RECORDS.clear()
        COMMITTED_OFFSET.clear()
        await self._guarded(self.on_partitions_revoked(self._tps(partitions)))

    async def _on_assigned(self, partitions: set[int]) -> None:
        generation = self._raw.generation
        self.app.consumer_generation_id = generation
        await self._guarded(self.on_partitions_assigned(self._tps(partitions), generation))

    async def _guarded(self, callback: Awaitable[None]) -> None:
        try:
            await callback
        except Exception as error:  # noqa: BLE001 - aiokafka would log it and go on
            await self.crash(error)

    def _tps(self, partitions: Iterable[int]) -> set[TP]:
        return {TP(self._raw.topic, partition) for partition in partitions}

    async def _start(self, partition: int) -> int:
        """Where to go on; committed where nothing was, so that the group's lag can be told from the first moment."""
        offset = await self._raw.committed(partition)
        if offset is None:
            offset = await self._raw.earliest(partition)
            await self._raw.commit({partition: offset})
        return offset

    async def _fetch(self, patience: float) -> dict[int, Sequence[RawRecord]]:
        """Records of partitions that have room for another run."""
        active = {tp.partition for tp in self._active_partitions} & self._raw.assignment()
        hungry = [partition for partition in active if self._settled and self._progress.has_room(partition)]
        if not hungry:
            self._room.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._room.wait()
            return {}
        fetched = await self._raw.fetch(hungry, patience if len(hungry) == len(active) else IMPATIENCE_SECONDS)
        if self._settled:
            return fetched
        # Asked for before a rebalance and answered in the middle of it: put them back.
        for partition, records in fetched.items():
            self._raw.seek(partition, records[0].offset)
        return {}

    async def _follows(self, partition: int, first: int) -> bool:
        """Whether a run that begins here is the next one.

        A gap is believed at second sight only, when the same offset comes first again.
        """
        expected = self._progress.position(partition)
        if first == expected:
            return True
        if self._gaps.get(partition) != (expected, first):
            self._gaps[partition] = (expected, first)
            self._raw.seek(partition, expected)
            return False
        if first < expected:
            _log.error("raw_log_made_anew", partition=partition, expected=expected, continued_at=first)
            self._progress.rewind(partition, first)
        elif await self._raw.earliest(partition) > expected:
            # Retention, or somebody, deleted records that were not normalized yet.
            _log.error("raw_records_lost", partition=partition, expected=expected, continued_at=first)
        else:
            _log.warning("raw_offsets_without_records", partition=partition, expected=expected, continued_at=first)
        return True

    async def _unused(self, *_arguments: object, **_options: object) -> NoReturn:
        raise NotImplementedError("only apps with tables, transactions or topics of their own need this")

    create_topic = earliest_offsets = highwaters = key_partition = position = seek_wait = seek_to_committed = _unused
    topic_partitions = highwater = _commit = _getmany = _seek = _to_message = _new_topicpartition = _unused


class Transport(driver.Transport):  # type: ignore[misc] # Faust is not typed for its users
    """Makes the consumer from our settings; Faust's own broker URL is not used."""

    Consumer = Consumer

    def __init__(self, app: AppT, settings: StreamSettings, caught_up: Callable[[], Awaitable[None]]) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.settings = settings
        self.caught_up = caught_up


def _message(tp: TP, run: Run) -> ConsumerMessage:
    """The run as Faust carries it."""
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        run.start,
        run.fetched_at,
        0,
        [],
        None,
        run,
        None,
        0,
        0,
        tp,
        generation_id=run.generation,
    )
