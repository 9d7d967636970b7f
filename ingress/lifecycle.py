"""What the ingress's processes have in common between start and stop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager


def stop_signal() -> asyncio.Event:
    """Set at the first SIGTERM or SIGINT, neither of which ends the process any more."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def running(*work: Coroutine[None, None, None]) -> AsyncIterator[set[asyncio.Task[None]]]:
    """What runs beside the rest until the end."""
    tasks = {asyncio.create_task(coroutine) for coroutine in work}
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def first(stop: asyncio.Event, background: Collection[asyncio.Task[None]]) -> None:
    """Wait for the stop; background work that ends before it has failed, and its error goes on from here."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({stopped, *background}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in background:
        if task in done:
            task.result()
