"""`events up --detach`: the launcher in a session of its own; this process shows its reports until all is ready."""

import signal
import subprocess
import sys
from types import FrameType

import msgspec

from deploy.local.checks import check_machine
from deploy.local.errors import ExitCode, LaunchError
from deploy.local.logs import LogFile
from deploy.local.options import Layout, Options
from deploy.local.relay import received
from deploy.local.reports import Noted, Ready, Report
from deploy.local.screen import Screen, make_screen
from deploy.local.welcome import TITLE, welcome


def run(options: Options) -> ExitCode:
    """Start the launcher; return once it is ready, or with what it ended with."""
    sys.stderr.write(f"{TITLE}\n")
    layout = options.layout
    screen = make_screen()
    try:
        check_machine(layout.data_dir)
        return _start(options, layout, screen)
    except LaunchError as error:
        screen.report(Noted(error.message, loud=True))
        return error.code
    finally:
        screen.close()


def _start(options: Options, layout: Layout, screen: Screen) -> ExitCode:
    launcher = subprocess.Popen(
        [sys.executable, "-P", "-m", "deploy.local", msgspec.json.encode(options).decode()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=LogFile(layout.log("supervisor")).open(),
        start_new_session=True,
    )

    def pass_on(number: int, _: FrameType | None) -> None:
        launcher.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    report: Report
    for report in received(launcher.stdout or ()):
        screen.report(report)
        if isinstance(report, Ready):
            screen.close()
            welcome(layout, detached=True)
            return ExitCode.OK
    return ExitCode(launcher.wait())
