"""Kafka is away from an ingress that spills: senders are answered with 200 all the while, and nothing is lost."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults.checker import Violation
from tests.faults.disks import full, small_disk
from tests.faults.faults import Fault, refuse
from tests.faults.pipeline import Pipeline, running_pipeline
from tests.faults.progress import answered, counted, goes_on, grows
from tests.faults.proxy import Proxy
from tests.services import eventually

LINK = "ingress-kafka"
DEADLINE_SECONDS = 3
AWAY_SECONDS = 3 * DEADLINE_SECONDS
PROGRESS_SECONDS = 30
DRAIN_SECONDS = 60
SLOW_SECONDS = 0.3
MEGABYTES = 8
SPILLED, DRAINED, LEFT = (
    "eventsapi_records_spilled_total",
    "eventsapi_records_drained_total",
    "eventsapi_spill_records",
)


def spill_faults() -> list[Fault]:
    """For `running_with_spill`; those that kill come last, since from then on records may be repeated."""
    return [
        _away("refused", refuse),
        _away("partitioned", Proxy.partition),
        Fault("SIGKILL ingress while it spills", _killed_while_spilling),
        Fault("SIGKILL ingress while its spill drains", _killed_while_draining),
    ]


def spill_disk_faults() -> list[Fault]:
    """To be inflicted on `running_with_small_spill`."""
    return [Fault("the spill's disk full", _disk_full)]


@asynccontextmanager
async def running_with_spill(folder: Path) -> AsyncIterator[Pipeline]:
    """The usual pipeline, its ingress with a spill."""
    env = {
        "INGRESS_SPILL_DIR": str(folder / "spill" / "ingress"),
        "INGRESS_SPILL_AFTER_SECONDS": "0.5",
        "INGRESS_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
    }
    async with running_pipeline(folder, env) as pipeline:
        yield pipeline


@asynccontextmanager
async def running_with_small_spill(folder: Path) -> AsyncIterator[Pipeline]:
    """The same, the spill on a small file system.

    Raises:
        CannotMount: where this user may not mount.
    """
    with small_disk(folder / "spill", MEGABYTES):
        async with running_with_spill(folder) as pipeline:
            yield pipeline


def _away(what: str, hurt: Callable[[Proxy], None]) -> Fault:
    async def inflict(pipeline: Pipeline) -> None:
        hurt(pipeline.links[LINK])
        await _spills(pipeline, f"{LINK} {what}")
        await asyncio.sleep(AWAY_SECONDS)
        await goes_on(pipeline, f"{LINK} {what} for longer than the deadline", PROGRESS_SECONDS)
        pipeline.links[LINK].heal()
        await _drains(pipeline)

    return Fault(f"{what} {LINK}, spilling", inflict)


async def _killed_while_spilling(pipeline: Pipeline) -> None:
    """The successor takes events at once, though it cannot reach Kafka."""
    pipeline.links[LINK].partition()
    await _spills(pipeline, "before the kill")
    pipeline.ingress_repeats = True
    pipeline.send("ingress", signal.SIGKILL)
    await goes_on(pipeline, "killed while spilling", PROGRESS_SECONDS)
    pipeline.links[LINK].heal()
    await _drains(pipeline)


async def _killed_while_draining(pipeline: Pipeline) -> None:
    """Some of the spill is in Kafka, and known to be or not, and some is not."""
    between = pipeline.links[LINK]
    between.partition()
    await _spills(pipeline, "before the drain")
    await asyncio.sleep(AWAY_SECONDS)
    between.heal()
    between.requests.delay_seconds = between.answers.delay_seconds = SLOW_SECONDS
    await grows(pipeline, lambda: counted(pipeline, "ingress", DRAINED), "nothing was drained")
    if not await counted(pipeline, "ingress", LEFT):
        pipeline.broken.append(Violation("the kill comes in mid-drain", "nothing was left to drain"))
    pipeline.ingress_repeats = True
    pipeline.send("ingress", signal.SIGKILL)
    between.heal()
    await _drains(pipeline)


async def _disk_full(pipeline: Pipeline) -> None:
    """Senders are told 503, and nothing worse; with room again, 200."""
    pipeline.links[LINK].partition()
    await _spills(pipeline, "before the disk is full")
    async with full(pipeline.folder / "spill"):
        await grows(pipeline, lambda: answered(pipeline, "503"), "no request was answered with 503")
    await goes_on(pipeline, "room on the disk again", PROGRESS_SECONDS)
    if internal := await answered(pipeline, "500"):
        pipeline.broken.append(Violation("never a 500", f"{internal:.0f} answers while the spill's disk was full"))
    pipeline.links[LINK].heal()
    await _drains(pipeline)


async def _spills(pipeline: Pipeline, when: str) -> None:
    """Events are acknowledged on every partition, and from disk."""
    await grows(pipeline, lambda: counted(pipeline, "ingress", SPILLED), f"{when}: nothing was spilled")
    await goes_on(pipeline, when, PROGRESS_SECONDS)


async def _drains(pipeline: Pipeline) -> None:
    """Under load the lanes come back, and the folder is empty for a moment at least."""

    async def empty() -> bool:
        return pipeline.children["ingress"].status.birth is not None and not await counted(pipeline, "ingress", LEFT)

    try:
        await eventually(empty, "the spill is drained", DRAIN_SECONDS)
    except TimeoutError as error:
        pipeline.broken.append(Violation("the spill drains by itself", str(error)))
