"""One step of a start: said when it begins, when it has ended, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.errors import ExitCode, LaunchError
from deploy.local.reports import Begun, Done, Failed, Reporter


class Step:
    """A step that is being worked on."""

    def __init__(self, name: str, reporter: Reporter) -> None:
        self._name = name
        self._reporter = reporter
        self._began = time.monotonic()

    def done(self, text: str, note: str = "", *, timed: bool = True) -> None:
        """It has ended well."""
        seconds = time.monotonic() - self._began if timed else None
        self._reporter.report(Done(self._name, text, seconds, note))


@contextmanager
def step(name: str, reporter: Reporter, *translated: type[Exception]) -> Iterator[Step]:
    """Work on a step; errors of the types given end the start with their message.

    Raises:
        LaunchError: the step did not succeed.
    """
    reporter.report(Begun(name))
    try:
        yield Step(name, reporter)
    except LaunchError:
        reporter.report(Failed(name, "failed"))
        raise
    except translated as error:
        reporter.report(Failed(name, "failed"))
        raise LaunchError(ExitCode.NOT_STARTED, str(error)) from error
