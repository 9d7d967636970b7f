"""The supervisor of INGRESS_WORKERS processes that share the public port by SO_REUSEPORT.

Invariant: the port is ours alone from before the first worker's start until after the last one's end.
"""

import asyncio
import math
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ingress.backoff import pause_seconds
from ingress.lifecycle import first, running, stop_signal
from ingress.process import SETTINGS_ARE_WRONG
from ingress.settings import IngressSettings
from ingress.shared_metrics import FOLDER_VARIABLE, SharedMetrics, forget_gauges
from ingress.worker import READY
from schemas.health import health_listener
from schemas.logs import get_logger
from schemas.settings import SettingsError, cannot_listen

ASK_SECONDS = 0.5
# Who has not answered for so long does not get on with requests either.
SILENT_SECONDS = 5.0
CALM_SECONDS = 60.0
# What a worker may take beyond INGRESS_SHUTDOWN_SECONDS: cutting off, flushing, closing.
CLOSE_SECONDS = 8.0

_log = get_logger(__name__)


class WorkersFailed(Exception):
    """Not every worker stopped as it should when it was told to."""


class Child:
    """One worker and its successors, as the supervisor sees them.

    Attributes:
        exit_code: of the one that was told to stop.
    """

    def __init__(self, number: int, env: Mapping[str, str], metrics_folder: Path) -> None:
        self._number = number
        self._env = env
        self._metrics_folder = metrics_folder
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._ready_at = -math.inf
        self.exit_code = 0

    def is_ready(self) -> bool:
        """Whether it said so just now."""
        return time.monotonic() - self._ready_at < SILENT_SECONDS

    async def live(self) -> None:
        """Run it, and a successor whenever it dies, until told to stop.

        Raises:
            SettingsError: where no successor could do better.
        """
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                self.exit_code = code
                return
            if code == SETTINGS_ARE_WRONG:
                raise SettingsError(f"Worker {self._number} cannot start: it says above which setting to change.")
            failures = 0 if time.monotonic() - began > CALM_SECONDS else failures + 1
            pause = pause_seconds(failures)
            _log.error("worker_ended", worker=self._number, ending=_ending(code), restart_seconds=round(pause, 1))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    def stop(self) -> None:
        """Ask it to end."""
        self._stopping.set()
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._stopping.set()
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _run_once(self) -> int:
        """One life; returns how it ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *_command(self._number), stdin=theirs.fileno(), env=self._env
            )
        if self._stopping.is_set():  # told to stop between the start and this line
            self._send(signal.SIGTERM)
        async with running(self._ask(ours)):
            code = await self._process.wait()
        self._ready_at = -math.inf
        forget_gauges(self._number, self._metrics_folder)
        return code

    async def _ask(self, channel: socket.socket) -> None:
        """Ask again and again whether it is ready, which also has it set its gauges."""
        reader, writer = await asyncio.open_connection(sock=channel)
        try:
            while True:
                writer.write(b"?")
                answer = await reader.readexactly(1)
                self._ready_at = time.monotonic() if answer == READY else -math.inf
                await asyncio.sleep(ASK_SECONDS)
        except (ConnectionError, asyncio.IncompleteReadError):
            self._ready_at = -math.inf
        finally:
            writer.close()


async def supervise(settings: IngressSettings) -> None:
    """Run the workers until SIGTERM or SIGINT, and serve health and metrics of all.

    Raises:
        SettingsError: where the port is taken, or no worker can start.
        WorkersFailed: where a worker had to be killed, or ended with an error.
    """
    stop = stop_signal()
    with TemporaryDirectory(prefix="events-api-ingress-") as name:
        folder = Path(name)
        async with _reserved(settings.ingress_host, settings.ingress_port) as port:
            env = {**os.environ, FOLDER_VARIABLE: name, "INGRESS_PORT": str(port)}
            children = [Child(number, env, folder) for number in range(1, settings.ingress_workers + 1)]

            def is_ready() -> bool:
                return not stop.is_set() and all(child.is_ready() for child in children)

            listener = (settings.metrics_host, settings.ingress_metrics_port, "INGRESS_METRICS_PORT")
            async with (
                health_listener(*listener, is_ready, SharedMetrics(folder).text),
                running(*(child.live() for child in children)) as lives,
            ):
                _log.info("workers_started", workers=len(children), port=port)
                try:
                    await first(stop, lives)
                finally:
                    _log.info("workers_stopping")
                    await _stop(children, lives, settings.ingress_shutdown_seconds + CLOSE_SECONDS)
    # A worker that had not begun yet ends by the signal itself.
    if failed := [child.exit_code for child in children if child.exit_code not in {0, -signal.SIGTERM}]:
        raise WorkersFailed(", ".join(map(_ending, failed)))
    _log.info("workers_stopped")


async def _stop(children: list[Child], lives: set[asyncio.Task[None]], seconds: float) -> None:
    for child in children:
        child.stop()
    _, late = await asyncio.wait(lives, timeout=seconds)
    if late:
        for child in children:
            child.kill()
        await asyncio.wait(late)


@asynccontextmanager
async def _reserved(host: str, port: int) -> AsyncIterator[int]:
    """Hold the port, without listening, so that nobody but our workers gets it; yields its number.

    Raises:
        SettingsError: where somebody has it.
    """
    try:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
    except OSError as error:
        raise cannot_listen(host, port, "INGRESS_PORT", error) from error
    async with server:
        for held in server.sockets:
            # Bound alone, or it would have failed; from here on Linux lets those join who ask for SO_REUSEPORT as
            # the same user, and nobody else.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield server.sockets[0].getsockname()[1]


def _command(number: int) -> tuple[str, ...]:
    safe_path = ("-P",) if sys.flags.safe_path else ()
    return (sys.executable, *safe_path, "-m", "ingress.worker", str(number))


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
