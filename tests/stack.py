"""A whole pipeline, started and asked only through the `events` command, as its user would."""

import json
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.checks import is_free

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

    def events(self, *arguments: str) -> str:
        """What the command prints, said in a shell that knows this pipeline."""
        return _events(*arguments, env=self.env)

    def pid(self, name: str) -> int:
        """The process id of one process."""
        return next(int(process["pid"]) for process in self.status() if process["name"] == name)


@contextmanager
def running_stack(data_dir: Path, **settings: str) -> Iterator[Stack]:
    """`events up --detach` on free ports, with more settings; `events down` at the end."""
    where = ["--data-dir", str(data_dir)]
    _events("up", "--detach", *where, *free_ports(), env=settings)
    try:
        yield attached(data_dir)
    finally:
        _events("down", *where)


def attached(data_dir: Path) -> Stack:
    """The pipeline that runs from this data folder."""
    return Stack(data_dir, _exports(_events("env", "--data-dir", str(data_dir))))


def free_ports() -> list[str]:
    """Options of `events up` with ports that nobody has, nor gets for a connection that it opens."""
    while True:
        first = random.randrange(20_000, 32_000)  # noqa: S311 - below where connections get theirs
        if all(is_free(first + place) for place in range(9)):
            names = ("api", "clickhouse", "kafka", "console", "metrics")
            return [f"--{name}-port={first + place}" for place, name in enumerate(names)]


def _events(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        [EVENTS, *arguments],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"events {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _exports(script: str) -> dict[str, str]:
    words = shlex.split(script)
    return dict(word.split("=", 1) for word in words if "=" in word)
