"""`events up` in the terminal: the launcher in this process, its reports on this screen."""

import asyncio
import sys

from deploy.local.errors import ExitCode, LaunchError
from deploy.local.launch import run as launch
from deploy.local.logs import LogFile
from deploy.local.options import Layout, Options
from deploy.local.relay import LogReporter, Tee
from deploy.local.reports import Noted, Ready, Report, Reporter
from deploy.local.screen import make_screen
from deploy.local.welcome import TITLE, welcome


def run(options: Options) -> ExitCode:
    """Run until told to stop; what to exit with."""
    sys.stderr.write(f"{TITLE}\n")
    layout = options.layout
    screen = make_screen()
    reporter = Tee(screen, LogReporter(LogFile(layout.log("supervisor"))), _Welcome(layout))
    try:
        return asyncio.run(launch(options, reporter))
    except LaunchError as error:
        reporter.report(Noted(error.message, loud=True))
        return error.code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    finally:
        screen.close()


class _Welcome(Reporter):
    """Prints what to do next, once all of it works."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def report(self, report: Report) -> None:
        if isinstance(report, Ready):
            welcome(self._layout, detached=False)
