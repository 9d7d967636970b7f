"""Steps of the wall clock of one process, forward and back; that they took effect is read off its own HTTP answers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp

from tests.faults.faults import Fault
from tests.faults.pipeline import Pipeline, running_pipeline
from tests.faults.progress import goes_on
from tests.services import eventually

OWN_CLOCK = Path(__file__).parent / "own_clock"
STEPS = tuple(sign * step for step in (timedelta(hours=1), timedelta(days=1)) for sign in (1, -1))
STEPPED_SECONDS = 8
PROGRESS_SECONDS = 20
NEAR_SECONDS = 30


def clock_faults() -> list[Fault]:
    """Each process's clock steps, by an hour and by a day; to be inflicted on `running_with_own_clocks`."""
    return [_step(process, step) for process in ("ingress", "stream", "sink") for step in STEPS]


@asynccontextmanager
async def running_with_own_clocks(folder: Path) -> AsyncIterator[Pipeline]:
    """The usual pipeline; a file in its folder `clocks` moves the clock of the process it is named after."""
    clocks = folder / "clocks"
    clocks.mkdir(parents=True, exist_ok=True)
    async with running_pipeline(folder, {"PYTHONPATH": str(OWN_CLOCK), "CLOCKS_FOLDER": str(clocks)}) as pipeline:
        yield pipeline


def _step(process: str, step: timedelta) -> Fault:
    async def inflict(pipeline: Pipeline) -> None:
        clock = pipeline.folder / "clocks" / process
        clock.write_text(f"{step.total_seconds():.0f}", "ascii")
        await _shows(pipeline, process, step)
        await goes_on(pipeline, f"the clock of {process} is {_words(step)}", PROGRESS_SECONDS)
        await asyncio.sleep(STEPPED_SECONDS)
        clock.unlink()
        await _shows(pipeline, process, timedelta())

    return Fault(f"clock of {process} {_words(step)}", inflict)


async def _shows(pipeline: Pipeline, process: str, step: timedelta) -> None:
    """Wait until the process itself tells the time that it should believe."""
    url = pipeline.specs[process].probe.replace("/readyz", "/livez")

    async def believed() -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except (aiohttp.ClientError, OSError):
            return False
        return abs(told - time.time() - step.total_seconds()) < NEAR_SECONDS

    await eventually(believed, f"{process} believes that it is {_words(step)}", PROGRESS_SECONDS)


def _words(step: timedelta) -> str:
    return f"{abs(step.total_seconds()) / 3600:.0f} h {'ahead' if step > timedelta() else 'behind'}"
