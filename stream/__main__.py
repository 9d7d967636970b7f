"""`python -m stream`: normalizes raw events until it is told to stop."""

import asyncio
import sys

import uvloop

from schemas import logs
from schemas.settings import SettingsError, load
from stream.app import CannotStart, run
from stream.fatal import end_process
from stream.settings import StreamSettings

EXIT_CONFIGURATION = 2


def main() -> int:
    """Run the stream; the exit code."""
    try:
        settings = load(StreamSettings, "STREAM_")
        logs.configure("stream", settings.log_level, settings.log_format)
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
