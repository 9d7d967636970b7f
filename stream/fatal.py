"""The one way out when something unexpected happens.

A stop in good order would commit once more and run clean-up code on a state that is not understood.  Ending the process
at once leaves Kafka as it is; whoever starts next redoes what is not committed.
"""

import os
import sys
import traceback
from typing import NoReturn

from schemas.logs import get_logger

# EX_SOFTWARE of sysexits.h
EXIT_UNEXPECTED = 70

_log = get_logger(__name__)


def end_process(reason: BaseException) -> NoReturn:
    """Say why, and end the process without a commit."""
    # Not exc_info: structlog would add the local variables, and payloads are among them.
    _log.critical("stream_ended", reason=repr(reason), trace="".join(traceback.format_exception(reason)))
    sys.stdout.flush()
    os._exit(EXIT_UNEXPECTED)
