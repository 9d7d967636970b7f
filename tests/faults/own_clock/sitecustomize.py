"""Gives a Python process a wall clock of its own, which a file moves while it runs; Python imports this first of all.

CLOCKS_FOLDER holds a file per process, named as the process is on its command line, with the seconds to add to the
time of day.  The monotonic clock is not touched.  Reached is who asks `time.time` and `time.time_ns`: ingress, stream,
sink, and aiohttp's Date header; aiokafka's records too, which would ask the C library.  `datetime.now` is not reached,
and nobody of ours asks it.  (libfaketime reaches all, but makes sleeping fail after a step back.)
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

_true_time_ns = time.time_ns
_file = Path(os.environ["CLOCKS_FOLDER"]) / sys.orig_argv[-1]


def _ahead_ns() -> int:
    try:
        return int(_file.read_text("ascii")) * 1_000_000_000
    except (FileNotFoundError, ValueError):  # ValueError: it is being written
        return 0


def _time_ns() -> int:
    return _true_time_ns() + _ahead_ns()


def _time() -> float:
    return _time_ns() / 1e9


time.time, time.time_ns = _time, _time_ns

from aiokafka.producer.message_accumulator import BatchBuilder  # noqa: E402 - not before the clock is ours

_append = BatchBuilder.append


def _append_now(self: Any, *, timestamp: int | None, **record: Any) -> Any:
    return _append(self, timestamp=_time_ns() // 1_000_000 if timestamp is None else timestamp, **record)


BatchBuilder.append = _append_now
