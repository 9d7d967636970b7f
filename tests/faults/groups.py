"""Faults that need a pipeline of their own kind: each group says how it is started, and what is inflicted on it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.clocks import clock_faults, running_with_own_clocks
from tests.faults.cluster import cluster_faults, running_cluster
from tests.faults.disks import disk_faults, running_on_small_disks
from tests.faults.faults import Fault
from tests.faults.flood import flood_faults
from tests.faults.memory import memory_faults, running_within_bounds
from tests.faults.older_data import older_data_faults, running_on_older_data
from tests.faults.pipeline import Pipeline, running_pipeline
from tests.faults.spill import running_with_small_spill, running_with_spill, spill_disk_faults, spill_faults
from tests.faults.workers import running_with_workers, worker_faults


@dataclass(frozen=True, slots=True)
class Group:
    """Faults that share one pipeline.

    Attributes:
        running: starts it in a folder, and stops it.
    """

    running: Callable[[Path], AbstractAsyncContextManager[Pipeline]]
    faults: Sequence[Fault]


def special_groups(away_seconds: float) -> list[Group]:
    """All of them; `away_seconds` is how long servers are away where memory is watched."""
    return [
        *(Group(running_within_bounds, [fault]) for fault in memory_faults(away_seconds)),
        Group(running_cluster, cluster_faults()),
        Group(running_with_own_clocks, clock_faults()),
        Group(running_on_older_data, older_data_faults()),
        Group(running_on_small_disks, disk_faults()),
        Group(running_with_spill, spill_faults()),
        Group(running_with_small_spill, spill_disk_faults()),
        Group(running_pipeline, flood_faults()),
        Group(running_with_workers, worker_faults()),
    ]
