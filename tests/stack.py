"""A whole pipeline, started and asked only through the `events` command, as its user would."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services import free_port

EVENTS = Path(sys.executable).with_name("events")
START_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Stack:
    """A running pipeline.

    Attributes:
        env: what `events env` exports: addresses, the demo token, the analyst's way into ClickHouse.
    """

    data_dir: Path
    env: dict[str, str]

    def status(self) -> list[dict[str, Any]]:
        """Each process, as `events status --json` tells it."""
        processes: list[dict[str, Any]] = json.loads(_events("status", "--json", "--data-dir", str(self.data_dir)))[
            "processes"
        ]
        return processes

    def pid(self, name: str) -> int:
        """The process id of one process."""
        return next(int(process["pid"]) for process in self.status() if process["name"] == name)


@contextmanager
def running_stack(data_dir: Path) -> Iterator[Stack]:
    """`events up --detach` on free ports; `events down` at the end."""
    where = ["--data-dir", str(data_dir)]
    ports = [f"--{name}-port={free_port()}" for name in ("api", "clickhouse", "kafka", "metrics")]
    _events("up", "--detach", *where, *ports)
    try:
        yield Stack(data_dir, _exports(_events("env", *where)))
    finally:
        _events("down", *where)


def _events(*arguments: str) -> str:
    done = subprocess.run([EVENTS, *arguments], capture_output=True, text=True, check=False, timeout=START_SECONDS)
    if done.returncode:
        raise RuntimeError(f"events {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _exports(script: str) -> dict[str, str]:
    words = shlex.split(script)
    return dict(word.split("=", 1) for word in words if "=" in word)
