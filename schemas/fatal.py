"""The ways out that are not a stop in good order.

After something unexpected, that would commit once more and run clean-up code on a state that is not understood.  Ending
the process at once leaves Kafka as it is; whoever starts next redoes what is not committed.
"""

import os
import sys
import traceback
from typing import NoReturn

from schemas.logs import get_logger

EXIT_UNEXPECTED = os.EX_SOFTWARE

_log = get_logger(__name__)


def leave_process(seconds: float) -> NoReturn:
    """Told to stop, but not able to within the time: nothing is lost by leaving what is in flight."""
    _log.warning("stopped_late", seconds=seconds)
    sys.stdout.flush()
    os._exit(os.EX_OK)


def end_process(reason: BaseException) -> NoReturn:
    """Say why, and end the process without a commit."""
    # Not exc_info: structlog would add the local variables, and payloads are among them.
    _log.critical("process_ended", reason=repr(reason), trace="".join(traceback.format_exception(reason)))
    sys.stdout.flush()
    os._exit(EXIT_UNEXPECTED)
