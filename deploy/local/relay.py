"""Reports that leave the process: to the log of the launcher, and to the command that waits for a detached one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from deploy.local.logs import LogFile
from deploy.local.reports import Report, Reporter
from deploy.local.screen import line_of

_decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


class LogReporter(Reporter):
    """Appends each report to `supervisor.log`, with its time."""

    def __init__(self, log: LogFile) -> None:
        self._log = log

    def report(self, report: Report) -> None:
        """Write it, and keep the file small."""
        if line := line_of(report):
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._log.bound()
            with suppress(OSError), os.fdopen(self._log.open(), "a", encoding="utf-8") as file:
                file.write(f"{now} {line.plain.strip()}\n")


class PipeReporter(Reporter):
    """Writes each report as a line of JSON, as long as somebody reads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def report(self, report: Report) -> None:
        """Write it; a reader that has gone is no reason to stop."""
        with suppress(OSError):
            os.write(self._descriptor, msgspec.json.encode(report) + b"\n")


class Tee(Reporter):
    """Tells several."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def report(self, report: Report) -> None:
        """Tell each of them."""
        for reporter in self._reporters:
            reporter.report(report)


def received(pipe: Iterable[bytes]) -> Iterator[Report]:
    """The reports that come through a pipe, until its other end is closed."""
    for line in pipe:
        yield _decoder.decode(line)
