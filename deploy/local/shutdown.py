"""Stops a launcher from outside, and what a launcher that was killed left behind."""

import sys
from contextlib import suppress

import psutil

from deploy.local.errors import ExitCode, LaunchError
from deploy.local.options import Layout
from deploy.local.orphans import stop_orphans
from deploy.local.screen import PlainScreen
from deploy.local.state import State, read_state

_STOP_SECONDS = 12.0
_KILL_SECONDS = 3.0


def stop_running(layout: Layout) -> bool:
    """Stop whatever runs from this data folder; false where nothing does.

    Raises:
        LaunchError: the launcher belongs to somebody else.
    """
    state = read_state(layout)
    if state is None:
        return False
    was_running = state.is_running() or bool(state.living())
    _stop_launcher(state)
    # What the launcher did not get to, or what it left when it was killed.
    stop_orphans(read_state(layout) or state, PlainScreen(sys.stderr))
    return was_running


def _stop_launcher(state: State) -> None:
    launcher = state.supervisor.process()
    if launcher is None:
        return
    try:
        launcher.terminate()
        with suppress(psutil.TimeoutExpired):
            launcher.wait(_STOP_SECONDS)
            return
        launcher.kill()
        launcher.wait(_KILL_SECONDS)
    except psutil.NoSuchProcess:
        return
    except psutil.Error as error:
        raise LaunchError(
            ExitCode.FAILED, f"The launcher, process {launcher.pid}, cannot be stopped: {error}"
        ) from error
