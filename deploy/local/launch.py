"""`events up` itself: from options to a pipeline that carried its first event, and then its keeper.

Nothing is started before the lock is held, what a killed launcher left behind is gone, and every port is free.
"""

import asyncio
import os
import signal

from deploy.local.checks import check_machine, check_packages, check_ports
from deploy.local.errors import ExitCode, LaunchError
from deploy.local.options import Layout, Options
from deploy.local.orphans import stop_orphans
from deploy.local.plan import make_plan
from deploy.local.reports import Noted, Reporter
from deploy.local.state import Lock, read_state
from deploy.local.steps import Start
from deploy.local.supervisor import Supervisor


async def run(options: Options, reporter: Reporter) -> ExitCode:
    """Start everything, keep it alive until told to stop, and stop it.

    Raises:
        LaunchError: it cannot be started; what was started is stopped again.
    """
    layout = options.layout
    check_machine(layout.data_dir)
    lock = Lock(layout)
    if not lock.take():
        raise _already_running(layout)
    try:
        last = read_state(layout)
        plan = make_plan(options, os.environ, last.addresses if last else None)
        check_packages(plan)
        if last:
            await asyncio.to_thread(stop_orphans, last, reporter)
        check_ports(plan.ports())
        supervisor = Supervisor(layout, plan.addresses, reporter)
        return await _keep(supervisor, Start(plan, supervisor, reporter), reporter)
    finally:
        lock.release()


async def _keep(supervisor: Supervisor, start: Start, reporter: Reporter) -> ExitCode:
    """Start, wait for a signal, stop; a second signal makes short work of it."""
    told = _Signals(supervisor)
    tasks = [asyncio.create_task(start.run()), asyncio.create_task(supervisor.bound_logs())]
    starting, _ = tasks
    waiting = asyncio.create_task(told.stop.wait())
    try:
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if was_ready := starting.done():
            starting.result()
            await waiting
    finally:
        told.stop.set()
        reporter.report(Noted("stopping"))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await supervisor.stop()
        reporter.report(Noted("stopped; all data stays"))
    return ExitCode.OK if was_ready and not told.killed else ExitCode.INTERRUPTED


class _Signals:
    """SIGINT, SIGTERM and SIGHUP: the first stops in order, the second kills."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.stop = asyncio.Event()
        self.killed = False
        self._supervisor = supervisor
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._told)

    def _told(self) -> None:
        if self.stop.is_set():
            self.killed = True
            self._supervisor.kill()
        self.stop.set()


def _already_running(layout: Layout) -> LaunchError:
    state = read_state(layout)
    where = f": process {state.supervisor.pid}, API at {state.addresses.api}" if state else ""
    return LaunchError(
        ExitCode.ALREADY_RUNNING,
        f"Events API runs already from {layout.data_dir}{where}.\n"
        "`events status` shows it, `events down` stops it; another one needs its own --data-dir and ports.",
    )
