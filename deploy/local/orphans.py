"""Processes whose launcher was killed: they live on and hold their ports and files until somebody stops them."""

import os
import signal
import time
from contextlib import suppress

import psutil

from deploy.local.plan import STOP_ORDER
from deploy.local.reports import Noted, Reporter
from deploy.local.state import State


def stop_orphans(last: State, reporter: Reporter) -> None:
    """Stop what a launcher that is gone left running, in the usual order; known by pid and start time."""
    orphans = {status.name: status.birth for status in last.living() if status.birth}
    if not orphans:
        return
    reporter.report(Noted(f"stopping what a killed `events up` left behind: {', '.join(orphans)}"))
    began = time.monotonic()
    for names, until_seconds in STOP_ORDER:
        found = (orphans[name].process() for name in names if name in orphans)
        processes = [process for process in found if process]
        for process in processes:
            with suppress(psutil.Error):
                process.terminate()
        _, left = psutil.wait_procs(processes, max(began + until_seconds - time.monotonic(), 0.1))
        for process in left:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        psutil.wait_procs(left, 1.0)
