"""One supervised process: started, watched, started again when it dies, stopped when told to.

It runs in a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone, which knows the order.
"""

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Callable
from contextlib import suppress

from deploy.local.backoff import Restart, after_death
from deploy.local.errors import ExitCode, LaunchError
from deploy.local.logs import LogFile
from deploy.local.plan import ProcessSpec
from deploy.local.ready import until_ready
from deploy.local.reports import Noted, Reporter
from deploy.local.state import Birth, ProcessState, ProcessStatus, birth_of

_FIRST_ATTEMPTS = 3
_SHOWN_LINES = 12


class Child:
    """One process and its successors."""

    def __init__(self, spec: ProcessSpec, log: LogFile, reporter: Reporter, on_change: Callable[[], None]) -> None:
        self._spec = spec
        self._log = log
        self._reporter = reporter
        self._on_change = on_change
        self._state: ProcessState = "stopped"
        self._restarts = 0
        self._process: Process | None = None
        self._birth: Birth | None = None
        self._stopping = asyncio.Event()
        self._ready_once: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._life: asyncio.Task[None] | None = None

    @property
    def status(self) -> ProcessStatus:
        """What the state file says of it."""
        spec = self._spec
        return ProcessStatus(spec.name, self._state, self._restarts, spec.address, str(self._log.path), self._birth)

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            LaunchError: it keeps dying, or does not become ready in time.
        """
        self._log.begin()
        self._life = asyncio.create_task(self._live())
        try:
            async with asyncio.timeout(self._spec.ready_seconds):
                await asyncio.shield(self._ready_once)
        except TimeoutError as error:
            reason = f"{self._spec.name} was not ready after {self._spec.ready_seconds:.0f} s"
            raise LaunchError(ExitCode.NOT_STARTED, f"{reason}.\n{self._last_words()}") from error

    async def stop(self, seconds: float) -> None:
        """Ask it to end, and kill it where it has not after so many seconds."""
        self._stopping.set()
        self._ready_once.cancel()
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
        if self._life:
            try:
                await asyncio.wait_for(asyncio.shield(self._life), seconds)
            except TimeoutError:
                self._reporter.report(Noted(f"{self._spec.name} did not stop in time and was killed"))
                self.kill()
                await self._life

    def kill(self) -> None:
        """End it at once, and whatever it started."""
        self._stopping.set()
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _live(self) -> None:
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                break
            restart = after_death(deaths, time.monotonic() - began)
            deaths = restart.deaths
            if not self._ready_once.done() and deaths >= _FIRST_ATTEMPTS:
                reason = f"{self._spec.name} does not start ({_ending(code)})"
                self._ready_once.set_exception(LaunchError(ExitCode.NOT_STARTED, f"{reason}.\n{self._last_words()}"))
                break
            self._announce(code, restart)
            self._change("restarting")
            self._restarts += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), restart.delay_seconds)
        self._birth = None
        self._change("stopped")

    async def _run_once(self) -> int:
        """One life; returns how it ended."""
        descriptor = self._log.open()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._spec.command,
                env=dict(self._spec.env),
                stdin=DEVNULL,
                stdout=descriptor,
                stderr=STDOUT,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self._birth = birth_of(self._process.pid)
        self._change("starting")
        if self._stopping.is_set():  # told to stop between the start and this line
            self._process.terminate()
        probing = asyncio.create_task(self._become_ready())
        try:
            return await self._process.wait()
        finally:
            probing.cancel()

    async def _become_ready(self) -> None:
        await until_ready(self._spec.probe)
        self._change("running")
        if not self._ready_once.done():
            self._ready_once.set_result(None)
        elif self._restarts:
            self._reporter.report(Noted(f"{self._spec.name} runs again"))

    def _change(self, state: ProcessState) -> None:
        self._state = state
        self._on_change()

    def _announce(self, code: int, restart: Restart) -> None:
        line = f"{self._spec.name} ended ({_ending(code)}), starts again in {restart.delay_seconds:.1f} s; log: "
        text = f"{line}{self._log.path}"
        if restart.loud:
            text = f"{self._spec.name} keeps dying, {restart.deaths} times in a row.\n{text}\n{self._last_words()}"
        self._reporter.report(Noted(text, loud=restart.loud))

    def _last_words(self) -> str:
        lines = self._log.tail(_SHOWN_LINES) or ["(nothing)"]
        return "\n".join([f"The last lines of {self._log.path}:", *(f"    {line}" for line in lines)])


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
