"""The metrics of several workers, added up from their files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingress.shared_metrics import FOLDER_VARIABLE, SharedMetrics, forget_gauges

# Each worker is a process of its own: where it keeps its values is decided before any metric is declared.
WORKER = """
import sys
from ingress import shared_metrics
shared_metrics.share(int(sys.argv[1]))
from schemas.metrics import EVENTS_ACCEPTED, PRODUCER_PENDING_BYTES, TOKENS_AGE_SECONDS
EVENTS_ACCEPTED.inc(int(sys.argv[2]))
PRODUCER_PENDING_BYTES.set(int(sys.argv[2]))
TOKENS_AGE_SECONDS.set(int(sys.argv[2]))
"""
ACCEPTED, PENDING, AGE = (
    "eventsapi_events_accepted_total",
    "eventsapi_producer_pending_bytes",
    "eventsapi_tokens_age_seconds",
)


def work(folder: Path, number: int, amount: int) -> None:
    """A worker that counts so much and dies."""
    command = [sys.executable, "-c", WORKER, str(number), str(amount)]
    subprocess.run(command, env={**os.environ, FOLDER_VARIABLE: str(folder)}, check=True)


def values(folder: Path) -> dict[str, float]:
    """What /metrics says of the three."""
    lines = (line.split() for line in SharedMetrics(folder).text().decode().splitlines() if line[0] != "#")
    return {name: float(value) for name, value in lines if name in {ACCEPTED, PENDING, AGE}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of two workers."""
    work(tmp_path, 1, 10)
    work(tmp_path, 2, 5)
    return tmp_path


def test_metrics_when_there_are_two_workers(folder: Path) -> None:
    """Counters and what waits are added up; of the tokens' age the worst counts."""
    assert values(folder) == {ACCEPTED: 15, PENDING: 15, AGE: 10}


def test_metrics_when_a_worker_has_died(folder: Path) -> None:
    """Its gauges are gone, its counters stay, and its successor goes on counting from there in the same files."""
    forget_gauges(1, folder)
    assert values(folder) == {ACCEPTED: 15, PENDING: 5, AGE: 5}

    files = len(list(folder.iterdir()))
    work(folder, 1, 3)

    assert values(folder) == {ACCEPTED: 18, PENDING: 8, AGE: 5}
    assert len(list(folder.iterdir())) == files + 3


def test_metrics_when_a_worker_is_about_to_start(folder: Path) -> None:
    """A file that holds nothing yet does not fail the scrape."""
    (folder / "counter_3.db").touch()

    assert values(folder)[ACCEPTED] == 15
