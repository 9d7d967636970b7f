"""The sink, killed between its insert of dead letters and the commit of their offsets.

`python -m tests.integration.dying_sink`.
"""

import os
import runpy
import signal
import sys

from sink.dead_letter_log import DeadLetterLog

COMMAND = (sys.executable, "-m", "tests.integration.dying_sink")


async def _die(_self: DeadLetterLog, _ends: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    DeadLetterLog.commit = _die  # type: ignore[method-assign, assignment] # the crash
    runpy.run_module("sink", run_name="__main__", alter_sys=True)
