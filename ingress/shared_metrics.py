"""The metrics of several workers, added up: each keeps its values in mapped files, and the supervisor reads them.

A worker's successor bears its number and goes on in its files, so no counter ever goes back and no file is left over.
The gauges of a worker that died vanish until its successor sets them.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def folder() -> Path:
    """Where this worker keeps its values."""
    return Path(os.environ[FOLDER_VARIABLE])


def share(number: int) -> None:
    """Keep the metrics of this process where the supervisor finds them; to be called before any is declared."""
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]  # theirs


def forget_gauges(number: int, folder: Path) -> None:
    """Take away what was true of a worker while it lived."""
    mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]  # theirs


class SharedMetrics(Collector):
    """All workers' values, in Prometheus's text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """What /metrics answers."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Add up; for counters of workers that died as well."""
        # A file is empty for the moment between its making and its first value.
        files = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # theirs
        return merged
