"""One fault run: load, fault, recovery, drain, and the ledger held against what is there."""

import asyncio
import random
import time
from dataclasses import dataclass

from pydantic import SecretStr

from deploy.audit import AuditSettings
from schemas.errors import Unavailable
from tests.faults.checker import Violation, check
from tests.faults.counters import Counted
from tests.faults.faults import NO_FAULT, Fault
from tests.faults.ledger import Outcome
from tests.faults.load import Load
from tests.faults.observe import drained, observe
from tests.faults.pipeline import Pipeline
from tests.faults.progress import counted, counts
from tests.faults.schemas import change, replay_refused
from tests.services import eventually

STEADY_SECONDS = 3
RECOVERY_SECONDS = 4
DRAIN_SECONDS = 90
PROGRESS_EVENTS = 20


TABLE_HEAD = (
    "| fault | events acknowledged | attempts with unknown outcome | seconds to drain | violations |\n"
    "|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one run showed.

    Attributes:
        acknowledged: events that were answered with 200 in this run.
        unknown: attempts whose outcome their sender was not told.
        recovery_seconds: from the end of the load until all lag was gone.
    """

    fault: str
    acknowledged: int
    unknown: int
    recovery_seconds: float
    violations: list[Violation]

    def row(self) -> str:
        """One line of a Markdown table."""
        figures = f"{self.acknowledged:,} | {self.unknown} | {self.recovery_seconds:.1f} | {len(self.violations)}"
        return f"| {self.fault} | {figures} |"


class Runner:
    """Runs on one pipeline, one after the other; the ledger holds all of them."""

    def __init__(self, pipeline: Pipeline, seed: int) -> None:
        self._pipeline = pipeline
        self._random = random.Random(seed)  # noqa: S311 - a reproducible load
        self._ledger = pipeline.ledger

    async def run(self, fault: Fault) -> Result:
        """Load before, during and after the fault; then drain and check everything since the pipeline's start."""
        events = len(self._ledger.acknowledged())
        pipeline = self._pipeline
        before = await counts(pipeline)
        began_ms = int(time.time() * 1_000)
        load = Load(pipeline.api_url, pipeline.kafka, pipeline.teams, self._ledger, self._random)
        sending = asyncio.gather(load.run(), change(pipeline.kafka, load.stopping))
        await self._progress(STEADY_SECONDS)
        await fault.inflict(pipeline)
        await self._progress(RECOVERY_SECONDS)
        load.stopping.set()
        await sending
        stopped = time.monotonic()
        stuck = await self._drain()
        recovery = time.monotonic() - stopped
        stuck += await self._replay(began_ms)
        counted = Counted(before, await counts(pipeline), undisturbed=fault is NO_FAULT)
        teams = [team.slug for team in pipeline.teams]
        observed = await observe(pipeline.kafka, pipeline.clickhouse_url, teams, pipeline.schemas, counted)
        return Result(
            fault.name,
            len(self._ledger.acknowledged()) - events,
            counted.after.unknown - counted.before.unknown,
            recovery,
            self._broken() + stuck + check(self._ledger, observed, ingress_repeats=pipeline.ingress_repeats),
        )

    async def _replay(self, since_ms: int) -> list[Violation]:
        """What a schema refused since then that is gone by now."""
        pipeline = self._pipeline
        settings = AuditSettings(
            kafka_bootstrap_servers=pipeline.kafka.kafka_bootstrap_servers,
            clickhouse_url=SecretStr(pipeline.clickhouse_url),
        )
        try:
            await replay_refused(settings, since_ms)
            await drained(pipeline.kafka, DRAIN_SECONDS)
        except (TimeoutError, Unavailable) as error:
            return [Violation("what was refused is replayed", str(error))]
        return []

    def _broken(self) -> list[Violation]:
        broken = list(self._pipeline.broken)
        self._pipeline.broken.clear()
        return broken

    async def _progress(self, seconds: float) -> None:
        """Let time pass, and more until events are acknowledged again."""
        due = self._ledger.count(Outcome.OK) + PROGRESS_EVENTS
        await asyncio.sleep(seconds)

        async def progressed() -> bool:
            return self._ledger.count(Outcome.OK) >= due

        await eventually(progressed, "events are acknowledged again", DRAIN_SECONDS)

    async def _drain(self) -> list[Violation]:
        async def spill_is_empty() -> bool:
            return not await counted(self._pipeline, "ingress", "eventsapi_spill_records")

        try:
            await eventually(spill_is_empty, "the ingress's spill is drained", DRAIN_SECONDS)
            await drained(self._pipeline.kafka, DRAIN_SECONDS)
        except TimeoutError as error:
            return [Violation("the lag returns to zero", str(error))]
        return []
