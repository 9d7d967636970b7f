"""`python -m ingress`: exit code 0 after SIGTERM, 2 where the settings are wrong, 1 on anything unexpected."""

import gc
import sys

import uvloop

from ingress.app import serve
from ingress.settings import IngressSettings
from schemas import logs
from schemas.settings import SettingsError, load

# A batch is thousands of small objects, none of them in a cycle: looking for cycles after each 700, as is Python's
# default, took a fifth of the time.
GARBAGE_THRESHOLDS = (100_000, 20, 50)


def main() -> int:
    """Run the process and return its exit code."""
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        settings = load(IngressSettings, "INGRESS_")
        logs.configure("ingress", settings.log_level, settings.log_format)
        uvloop.run(serve(settings))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging may not be configured yet
        return 2
    except Exception:  # noqa: BLE001 - the one place: it is logged, and the process ends
        logs.get_logger("ingress").exception("ended_unexpectedly")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
