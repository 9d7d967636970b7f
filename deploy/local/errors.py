"""How `events` ends: its exit codes, and the error that carries one."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script may rely on; `events --help` lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    ALREADY_RUNNING = 6
    PORT_TAKEN = 7
    UNFIT = 8
    NOT_STARTED = 9
    INTERRUPTED = 130


class LaunchError(Exception):
    """The command cannot do what it was asked for; the message says why and what to do.

    Attributes:
        code: what the command exits with.
    """

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def missing_packages(names: list[str]) -> LaunchError:
    """The error of an installation without the extra `local`."""
    return LaunchError(
        ExitCode.UNFIT,
        f"`events up` needs packages that are not installed: {', '.join(names)}.\n"
        "Install them:  pip install 'events-api[local]'   (in a checkout: make up)",
    )
