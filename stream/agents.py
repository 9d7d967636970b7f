"""The agent: takes runs from Faust, normalizes them, produces what they became, and only then calls them finished.

Partitions overlap, the runs of one partition do not: each waits its turn.  One agent serves all partitions; Faust's
isolated_partitions would cancel an agent in the middle of a run at a rebalance, and then start it again for a partition
that it no longer owns.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterable, Callable
from typing import Protocol

from schemas.logs import get_logger
from schemas.metrics import (
    DEAD_LETTERS,
    DEAD_LETTERS_SPARED,
    DISCARDS,
    RECORDS_COPIED,
    RECORDS_NORMALIZED,
    RUN_SECONDS,
)
from stream.normalize import NormalizedRun, normalize_run
from stream.producer import Producer
from stream.progress import Run
from stream.settings import StreamSettings
from stream.team_topics import copies
from stream.writers import Writers

WARN_SECONDS = 60

_log = get_logger(__name__)


class Turns(Protocol):
    """Who knows whose turn it is: the transport's consumer."""

    def is_next(self, run: Run) -> bool:
        """Whether to work on this run now."""

    def finish(self, run: Run) -> None:
        """The run is done for good."""


class Normalizer:
    """The work on runs; `end_process` is called with whatever goes wrong."""

    def __init__(
        self,
        producer: Producer,
        settings: StreamSettings,
        writers: Writers,
        end_process: Callable[[BaseException], None],
    ) -> None:
        self._producer = producer
        self._writers = writers
        self._topics = settings.topics
        self._team_topics = settings.team_topics
        self._end_process = end_process
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._working: set[asyncio.Task[None]] = set()
        self._warned: dict[str, float] = {}

    async def take(self, runs: AsyncIterable[Run], consumer: Turns) -> None:
        """Work on each run when its turn comes."""
        async for run in runs:
            task = asyncio.create_task(self._work(run, consumer))
            self._working.add(task)
            task.add_done_callback(self._done)

    async def drained(self, seconds: float) -> bool:
        """Wait for the runs in flight; whether all of them ended in time."""
        if not self._working:
            return True
        _, unfinished = await asyncio.wait(self._working, timeout=seconds)
        return not unfinished

    async def _work(self, run: Run, consumer: Turns) -> None:
        # While the run before it is on its way to Kafka; this costs nothing but time.
        outcome = normalize_run(run.records, self._writers)
        copied = copies(run.records, self._team_topics)
        # asyncio's lock is fair: the turns come in the order of the runs.
        async with self._turns[run.partition]:
            if not consumer.is_next(run):
                return
            if copied:
                await asyncio.gather(*(self._producer.send(topic, run.partition, copied[topic]) for topic in copied))
            if outcome.dead_letters:
                await self._producer.send(self._topics.dead_letter, run.partition, outcome.dead_letters)
            await self._producer.send(self._topics.normalized, run.partition, outcome.normalized)
            consumer.finish(run)
        RECORDS_COPIED.inc(sum(map(len, copied.values())))
        _count(run, outcome)
        for subject in outcome.spared:
            self._warn(str(subject))

    def _warn(self, subject: str) -> None:
        """Once a minute: each run would say so."""
        now = time.monotonic()
        if self._warned.get(subject, -math.inf) + WARN_SECONDS <= now:
            self._warned[subject] = now
            _log.warning(
                "too_many_dead_letters",
                subject=subject,
                todo="most events lack a member that the schema requires: correct their sender, or register a version "
                "in which it may be null; until then they have no typed fields",
            )

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._end_process(error)


def _count(run: Run, outcome: NormalizedRun) -> None:
    RECORDS_NORMALIZED.inc(len(outcome.normalized))
    DISCARDS.inc(outcome.discards)
    DEAD_LETTERS_SPARED.inc(outcome.spared.total())
    RUN_SECONDS.observe(time.monotonic() - run.fetched_at)
    for reason, count in outcome.reasons.items():
        DEAD_LETTERS.labels(reason.value).inc(count)
        _log.debug("dead_letters", partition=run.partition, start=run.start, end=run.end, reason=reason, count=count)
