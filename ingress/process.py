"""How a process of the ingress begins and ends: exit code 0 after SIGTERM, 2 for wrong settings, 1 for all else."""

import sys
from collections.abc import Callable
from typing import TypeVar

from schemas import logs
from schemas.settings import Settings, SettingsError, load

SETTINGS_ARE_WRONG = 2

S = TypeVar("S", bound=Settings)


def run(name: str, kind: type[S], process: Callable[[S], None]) -> int:
    """Run it with the environment's settings, whose own begin with its name, and return the exit code."""
    try:
        settings = load(kind, f"{name.upper()}_")
        logs.configure(name, settings.log_level, settings.log_format)
        process(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging may not be configured yet
        return SETTINGS_ARE_WRONG
    except Exception:  # noqa: BLE001 - the one place: it is logged, and the process ends
        logs.get_logger("ingress").exception("ended_unexpectedly")
        return 1
    return 0
