"""Resident memory of each process: after many events, and while it works off a backlog as large."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import psutil

from tests.bench.load import Target, send
from tests.services import eventually
from tests.stack import Stack

SAMPLE_SECONDS = 0.2
DRAIN_SECONDS = 600

Megabytes = dict[str, float]


async def after_events(stack: Stack, count: int) -> Megabytes:
    """Send so many events as fast as they are taken; what each process holds once all are stored."""
    await _send_and_store(stack, count)
    return _resident(stack)


async def with_backlog(stack: Stack, count: int) -> Megabytes:
    """Halt stream and sink, send so many events, let both go on: the most that each process held meanwhile."""
    halted = [stack.pid("stream"), stack.pid("sink")]
    due = await _stored(stack) + count
    for pid in halted:
        os.kill(pid, signal.SIGSTOP)
    await send(_target(stack), count)
    async with _peaks(stack) as peaks:
        for pid in halted:
            os.kill(pid, signal.SIGCONT)
        await _until_stored(stack, due)
    return peaks


async def _send_and_store(stack: Stack, count: int) -> None:
    due = await _stored(stack) + count
    await send(_target(stack), count)
    await _until_stored(stack, due)


async def _until_stored(stack: Stack, due: int) -> None:
    async def all_stored() -> bool:
        return await _stored(stack) >= due

    await eventually(all_stored, f"{due} rows", DRAIN_SECONDS)


async def _stored(stack: Stack) -> int:
    query = "SELECT count() FROM demo.events"
    async with aiohttp.ClientSession() as analyst, analyst.post(stack.env["CLICKHOUSE_URL"], data=query) as answer:
        return int(await answer.text())


@asynccontextmanager
async def _peaks(stack: Stack) -> AsyncIterator[Megabytes]:
    peaks = _resident(stack)

    async def sample() -> None:
        while True:
            for name, megabytes in _resident(stack).items():
                peaks[name] = max(peaks[name], megabytes)
            await asyncio.sleep(SAMPLE_SECONDS)

    sampling = asyncio.create_task(sample())
    try:
        yield peaks
    finally:
        sampling.cancel()


def _resident(stack: Stack) -> Megabytes:
    processes = {str(process["name"]): int(process["pid"]) for process in stack.status()}
    return {name: psutil.Process(pid).memory_info().rss / 1e6 for name, pid in processes.items()}


def _target(stack: Stack) -> Target:
    return Target(stack.env["EVENTS_API_URL"], stack.env["EVENTS_TOKEN"])
