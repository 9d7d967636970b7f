"""Requests per second of the ingress and of the peer, in turn and on the same Kafka; `wrk` is the load.

The peer, in `peer/`, is what a user would take instead: Benthos, HTTP in and Kafka out, in Go.  Both answer when all
in-sync replicas have the events.  Ours checks token and events, names them and counts them; the peer does none of that.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from deploy.topics import create_topics
from schemas.settings import KafkaSettings
from tests.bench.figures import Comparison, spread
from tests.ingress import make_accounts, running_ingress
from tests.services import PARTITIONS, accepts, free_port, process, wait_until

HERE = Path(__file__).parent
WORKERS = 2
WARM_SECONDS, SECONDS = 2, 6
FIRST_ANSWER_SECONDS = 30
REPETITIONS = 3
EVENT = (
    b'{"version":1,"type":"event","event":"Purchased an Item","properties":{"revenue":"39.95",'
    b'"shippingMethod":"2-day"},"timestamp":"2012-12-02T00:30:08.276Z"}'
)


class CannotMeasure(Exception):
    """A program is missing; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is posted, and over how many connections.

    Attributes:
        target: the least ratio of events per second, ours to the peer's.
    """

    name: str
    path: str
    events: int
    connections: int
    target: float

    @property
    def body(self) -> bytes:
        """One request's."""
        return EVENT if self.events == 1 else b'{"batch":[%b]}' % b",".join([EVENT] * self.events)


LOADS = (
    Load("single events", "v1/event", events=1, connections=64, target=1.0),
    Load("batches of 100", "v1/batch", events=100, connections=8, target=1.2),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One run of wrk."""

    events_per_second: float
    p99_milliseconds: float


@dataclass(frozen=True, slots=True)
class Compared:
    """The runs of one load."""

    load: Load
    ours: list[Seen]
    theirs: list[Seen]

    def rows(self) -> list[str]:
        """Two lines of a Markdown table: rates, and the 99th percentile of the time to an answer."""
        rates = Comparison(
            self.load.name,
            "peer",
            [seen.events_per_second for seen in self.ours],
            [seen.events_per_second for seen in self.theirs],
            self.load.target,
        )
        ours, theirs = ([seen.p99_milliseconds for seen in side] for side in (self.ours, self.theirs))
        times = f"{spread(ours, '{:.1f}')} ms | {spread(theirs, '{:.1f}')} ms"
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        reached = "reached" if sorted(ratios)[len(ratios) // 2] <= 1 else "**missed**"
        return [
            rates.row(),
            f"| {self.load.name}, p99 | peer | {times} | {spread(ratios, '{:.2f}')} | ≤ 1.0 {reached} |",
        ]


async def compare_ingress(bootstrap_servers: str, repetitions: int = REPETITIONS) -> list[Compared]:
    """Measure every load in every repetition, the peer first; what comes before is for the broker to warm up.

    A broker that has just started takes three times as long for a request: whoever came first would look slow.

    Raises:
        CannotMeasure: where `wrk` or Go is missing.
    """
    compared = [Compared(load, [], []) for load in LOADS]
    with tempfile.TemporaryDirectory(prefix="events-bench-") as name:
        folder = Path(name)
        peer = _built_peer(folder)
        accounts_url, token = await make_accounts(folder)
        warm_up = [Compared(load, [], []) for load in LOADS]
        for row in [warm_up, *[compared] * repetitions]:
            for one in row:
                kafka = await _fresh_topics(bootstrap_servers)
                with _running_peer(peer, kafka, one.load, folder) as url:
                    one.theirs.append(_loaded(url, one.load, "", folder))
                kafka = await _fresh_topics(bootstrap_servers)
                with running_ingress(kafka, accounts_url, folder, **_settings()) as ingress:
                    one.ours.append(_loaded(f"{ingress.base_url}/{one.load.path}", one.load, token, folder))
    return compared


def _settings() -> dict[str, Any]:
    """One load is one team, and it is to be measured, not held back."""
    return {"ingress_workers": WORKERS, "ingress_team_events_per_second": 0, "log_level": "warning"}


async def _fresh_topics(bootstrap_servers: str) -> KafkaSettings:
    prefix = f"bench{uuid.uuid4().hex[:8]}."
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=prefix)
    await create_topics(kafka, PARTITIONS)
    return kafka


def _built_peer(folder: Path) -> Path:
    if shutil.which("go") is None:
        raise CannotMeasure("The peer is built with Go, which is not here: install it, 1.21 or later.")
    binary = folder / "peer"
    subprocess.run(["go", "build", "-o", str(binary), "."], cwd=HERE / "peer", check=True)
    return binary


@contextmanager
def _running_peer(binary: Path, kafka: KafkaSettings, load: Load, folder: Path) -> Iterator[str]:
    port = free_port()
    env = {
        "PEER_PORT": str(port),
        "PEER_PATH": load.path,
        "PEER_TOPIC": kafka.topics.raw,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.kafka_bootstrap_servers,
    }
    with process([str(binary), "-c", str(HERE / "peer" / "peer.yaml")], folder / "peer.log", env):
        wait_until(lambda: accepts(port), "the peer listens")
        url = f"http://127.0.0.1:{port}/{load.path}"
        # Where it asks for the leaders of a new topic too early, it asks again after 5 s; that is not its speed.
        wait_until(lambda: requests.post(url, load.body, timeout=FIRST_ANSWER_SECONDS).ok, "the peer answers")
        yield url


def _loaded(url: str, load: Load, token: str, folder: Path) -> Seen:
    """What wrk measures, after it has warmed the server up."""
    body = folder / "body.json"
    body.write_bytes(load.body)
    _wrk(url, load, token, body, WARM_SECONDS)
    seen = _wrk(url, load, token, body, SECONDS)
    if seen["failed"]:
        raise RuntimeError(f"{url}: {seen['failed']:.0f} of {seen['requests']:.0f} requests failed")
    return Seen(seen["requests"] * load.events / seen["seconds"], seen["p99_ms"])


def _wrk(url: str, load: Load, token: str, body: Path, seconds: int) -> dict[str, float]:
    if shutil.which("wrk") is None:
        raise CannotMeasure("The load comes from wrk, which is not here: on Debian, apt-get install wrk.")
    script = str(HERE / "wrk" / "post.lua")
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script, url]
    done = subprocess.run(
        command,
        env={**os.environ, "BODY_FILE": str(body), "TOKEN": token},
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures
