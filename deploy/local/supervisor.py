"""All processes of one start: their states in one file, their end in one order."""

import asyncio
import os

import msgspec

from deploy.local.child import Child
from deploy.local.logs import LogFile
from deploy.local.options import Layout
from deploy.local.plan import PROCESSES, STOP_ORDER, ProcessSpec
from deploy.local.reports import Reporter
from deploy.local.state import Addresses, Birth, State, birth_of, write_state

_LOG_SECONDS = 10.0


class Supervisor:
    """Starts processes, keeps the state file true, stops what it started."""

    def __init__(self, layout: Layout, addresses: Addresses, reporter: Reporter) -> None:
        self._layout = layout
        self._reporter = reporter
        self._children: dict[str, Child] = {}
        me = birth_of(os.getpid()) or Birth(os.getpid(), 0.0)
        self._state = State(
            supervisor=me,
            data_dir=str(layout.data_dir),
            addresses=addresses,
            clickhouse_url="",
            ready=False,
            processes=[],
        )
        self._write()

    async def start(self, spec: ProcessSpec) -> None:
        """Start one process and wait until it is ready; from then on it is kept alive.

        Raises:
            LaunchError: it does not become ready.
        """
        child = Child(spec, LogFile(self._layout.log(spec.name)), self._reporter, self._write)
        self._children[spec.name] = child
        await child.start()

    def ready(self, clickhouse_url: str) -> None:
        """Say in the state file that all of it works, and how analysts reach ClickHouse."""
        self._state = msgspec.structs.replace(self._state, clickhouse_url=clickhouse_url, ready=True)
        self._write()

    async def bound_logs(self) -> None:
        """Keep the log files small, for ever."""
        while True:
            await asyncio.sleep(_LOG_SECONDS)
            for name in self._children:
                LogFile(self._layout.log(name)).bound()

    async def stop(self) -> None:
        """Stop everything in the order of the plan, each with its deadline."""
        began = asyncio.get_running_loop().time()
        for names, until_seconds in STOP_ORDER:
            left = began + until_seconds - asyncio.get_running_loop().time()
            children = [self._children[name] for name in names if name in self._children]
            await asyncio.gather(*(child.stop(max(left, 0.1)) for child in children))

    def kill(self) -> None:
        """End everything at once."""
        for child in self._children.values():
            child.kill()

    def _write(self) -> None:
        processes = [self._children[name].status for name in PROCESSES if name in self._children]
        self._state = msgspec.structs.replace(self._state, processes=processes)
        write_state(self._layout, self._state)
