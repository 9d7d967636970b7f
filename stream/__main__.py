"""`python -m stream`: normalizes raw events until it is told to stop."""

import asyncio
import gc
import sys

import uvloop

from schemas import logs
from schemas.connecting import limit_connecting
from schemas.fatal import end_process
from schemas.settings import SettingsError, load
from stream.app import CannotStart, run
from stream.settings import StreamSettings

EXIT_CONFIGURATION = 2
# A run is tens of thousands of small objects and none of them is in a cycle: looking for cycles after each 700, as is
# Python's default, took a fifth of the time.
GARBAGE_THRESHOLDS = (100_000, 20, 50)


def main() -> int:
    """Run the stream; the exit code."""
    try:
        settings = load(StreamSettings, "STREAM_")
        logs.configure("stream", settings.log_level, settings.log_format)
        limit_connecting(settings.kafka_connect_seconds)
        gc.freeze()
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings))
    except (SettingsError, CannotStart) as error:
        print(error, file=sys.stderr)  # noqa: T201 - for whoever started it
        return EXIT_CONFIGURATION
    except Exception as error:  # noqa: BLE001 - the last resort
        end_process(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
