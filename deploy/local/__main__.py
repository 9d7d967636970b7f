"""`python -m deploy.local OPTIONS`: the launcher of `events up --detach`, in a session of its own.

It reports through standard output to the command that waits for it, and to `supervisor.log`.
"""

import asyncio
import sys

import msgspec

from deploy.local.errors import ExitCode, LaunchError
from deploy.local.launch import run
from deploy.local.logs import LogFile
from deploy.local.options import Options
from deploy.local.relay import LogReporter, PipeReporter, Tee
from deploy.local.reports import Noted


def main() -> ExitCode:
    """Run until told to stop; an error is reported like everything else."""
    options = msgspec.json.decode(sys.argv[1].encode(), type=Options)
    reporter = Tee(PipeReporter(sys.stdout.fileno()), LogReporter(LogFile(options.layout.log("supervisor"))))
    try:
        return asyncio.run(run(options, reporter))
    except LaunchError as error:
        reporter.report(Noted(error.message, loud=True))
        return error.code


if __name__ == "__main__":
    sys.exit(main())
