"""`python -m ingress.worker 1`: one of several processes that share the public port; only the supervisor starts it.

Its standard input is the channel to the supervisor.  Invariant: a worker does not outlive its supervisor for longer
than its requests take.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
import uvloop

from ingress import shared_metrics
from ingress.process import run
from ingress.settings import IngressSettings

READY = b"1"
NOT_READY = b"0"


@dataclass(frozen=True, slots=True)
class Worker:
    """Which worker this process is.

    Attributes:
        number: from 1 on; its successors bear the same.
        channel: the supervisor asks with one byte, and the answer is one byte: READY or NOT_READY.
    """

    number: int
    channel: socket.socket


@asynccontextmanager
async def reporting(worker: Worker, is_ready: Callable[[], bool], measure: Callable[[], None]) -> AsyncIterator[None]:
    """Answer the supervisor for as long as the context lasts; once it is gone, the process stops as if told to.

    `measure` sets the gauges.
    """
    reader, writer = await asyncio.open_connection(sock=worker.channel)

    async def answer() -> None:
        with suppress(ConnectionError):
            while await reader.read(1):
                measure()
                writer.write(READY if is_ready() else NOT_READY)
        signal.raise_signal(signal.SIGTERM)

    answering = asyncio.create_task(answer())
    try:
        yield
    finally:
        answering.cancel()
        writer.close()


def main() -> int:
    """Run the worker whose number is the one argument, and return its exit code."""
    supervisor = os.getppid()
    worker = Worker(int(sys.argv[1]), socket.socket(fileno=sys.stdin.fileno()))
    shared_metrics.share(worker.number)
    try:
        return run("ingress", IngressSettings, lambda settings: _start(settings, worker))
    finally:
        if os.getppid() != supervisor:
            shutil.rmtree(shared_metrics.folder(), ignore_errors=True)


def _start(settings: IngressSettings, worker: Worker) -> None:
    # Its import declares the metrics, and where they are kept has to be known by then.
    from ingress.app import serve  # noqa: PLC0415

    structlog.contextvars.bind_contextvars(worker=worker.number)
    uvloop.run(serve(settings, worker))


if __name__ == "__main__":
    sys.exit(main())
