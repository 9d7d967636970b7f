"""Faults of an ingress that is a supervisor and two workers."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from tests.faults.checker import Violation
from tests.faults.faults import Fault
from tests.faults.pipeline import Pipeline, running_pipeline
from tests.services import eventually

WORKERS = 2
# A little more than a worker has for its requests.
END_SECONDS = 35


def worker_faults() -> list[Fault]:
    """For `running_with_workers`."""
    return [
        Fault("SIGKILL one of 2 workers", _kill_one),
        Fault("SIGKILL each of 2 workers in turn", _kill_each),
        Fault("SIGTERM one of 2 workers", _stop_one),
        Fault("SIGKILL the supervisor of 2 workers", _kill_supervisor),
        Fault("SIGTERM the supervisor of 2 workers", _stop_supervisor),
    ]


@asynccontextmanager
async def running_with_workers(folder: Path) -> AsyncIterator[Pipeline]:
    """The usual pipeline, its ingress in several processes."""
    async with running_pipeline(folder, {"INGRESS_WORKERS": str(WORKERS)}) as pipeline:
        yield pipeline


async def _workers(pipeline: Pipeline) -> list[psutil.Process]:
    """All of them, once all live."""

    async def found() -> list[psutil.Process]:
        birth = pipeline.children["ingress"].status.birth
        supervisor = birth.process() if birth else None
        try:
            workers = supervisor.children() if supervisor else []
        except psutil.NoSuchProcess:
            return []
        return workers if len(workers) == WORKERS else []

    return await eventually(found, "all workers live", END_SECONDS)


async def _kill_one(pipeline: Pipeline) -> None:
    (await _workers(pipeline))[0].kill()


async def _stop_one(pipeline: Pipeline) -> None:
    """As an operator might: it finishes its requests, and its successor comes."""
    (await _workers(pipeline))[-1].terminate()


async def _kill_each(pipeline: Pipeline) -> None:
    """The second one while the successor of the first begins."""
    for worker in await _workers(pipeline):
        worker.kill()
        await asyncio.sleep(1)


async def _kill_supervisor(pipeline: Pipeline) -> None:
    """Its workers must end by themselves; the launcher starts a new one, which waits for the port."""
    await _outlived_by_none(pipeline, signal.SIGKILL)


async def _stop_supervisor(pipeline: Pipeline) -> None:
    await _outlived_by_none(pipeline, signal.SIGTERM)


async def _outlived_by_none(pipeline: Pipeline, number: signal.Signals) -> None:
    workers = await _workers(pipeline)
    pipeline.send("ingress", number)
    _, left = await asyncio.to_thread(psutil.wait_procs, workers, END_SECONDS)
    pipeline.broken += [Violation("no worker outlives its supervisor", f"pid {worker.pid}") for worker in left]
