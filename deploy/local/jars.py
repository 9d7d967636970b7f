"""Fetches Apache Kafka's jars from Maven Central, once, each checked by the SHA-256 of the committed lock.

The lock was made with `mvn dependency:copy-dependencies` from kafka_2.13 and log4j-slf4j-impl: jgo's own resolution
picks an old kafka-clients, so each artifact is named exactly.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jgo.maven import MavenContext


class JarError(Exception):
    """A jar could not be fetched, or is not the one that the lock names."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: `group:artifact:version:sha256`."""

    group: str
    artifact: str
    version: str
    sha256: str


def locked_jars() -> list[Jar]:
    """What the committed lock names, in its order."""
    lines = files("deploy.local").joinpath("kafka.lock").read_text("utf-8").split()
    return [Jar(*line.split(":")) for line in lines]


def cache_folder() -> Path:
    """Where jars stay between runs and checkouts."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "events-api" / "jars"


def fetch(jars: list[Jar], cache: Path, on_jar: Callable[[int, int], None] = lambda _count, _size: None) -> list[Path]:
    """Bring every jar into the cache and return their paths; calls `on_jar(count, bytes)` after each one.

    Raises:
        JarError: saying which jar and what to do.
    """
    context = MavenContext(repo_cache=cache)
    paths: list[Path] = []
    size = 0
    for jar in jars:
        path = _fetch_one(context, jar)
        paths.append(path)
        size += path.stat().st_size
        on_jar(len(paths), size)
    return paths


def _fetch_one(context: MavenContext, jar: Jar) -> Path:
    name = f"{jar.artifact}-{jar.version}.jar"
    try:
        path = Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
    except Exception as error:  # jgo raises whatever its HTTP client does
        raise JarError(
            f"{name} could not be fetched ({error}).  Is Maven Central reachable?  Then try again."
        ) from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
        path.unlink()
        raise JarError(f"{name} is not the file that kafka.lock names; it was deleted.  Try again.")
    return path
