"""The ingress as a process, for tests: on free ports, with accounts and a token of its own; and what it wrote."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import requests
from aiokafka import AIOKafkaConsumer

from ingress.accounts.database import migrate
from ingress.accounts.store import open_accounts
from schemas.settings import KafkaSettings
from tests.accounts import ACTOR
from tests.services import free_port, process, wait_until

TEAM = "demo"
# A supervisor, and then its workers.
START_SECONDS = 60
GOOD = b'{"version":1,"type":"event","event":"x"}'


@dataclass(frozen=True)
class Ingress:
    """A running ingress.

    Attributes:
        port: of the public listener.
        operations_port: of the listener for metrics and health.
        running: the process.
        log: the file with its output.
    """

    port: int
    operations_port: int
    running: subprocess.Popen[bytes]
    log: Path

    @property
    def base_url(self) -> str:
        """The public listener."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where events go."""
        return f"{self.base_url}/v1/event"

    def is_ready(self) -> bool:
        """Whether it says that it is ready; False where it does not answer."""
        try:
            return requests.get(f"http://127.0.0.1:{self.operations_port}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def wait_until_listening(self) -> None:
        """Wait until the public listener answers, ready or not."""
        wait_until(lambda: self.log.exists() and b'"listening"' in self.log.read_bytes(), "the ingress listens")

    def metric(self, name: str) -> float:
        """The value of a metric, by its name and labels as Prometheus writes them; 0 where it is not there yet."""
        text = requests.get(f"http://127.0.0.1:{self.operations_port}/metrics", timeout=5).text
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)

    def post(self, token: str, body: bytes | Iterable[bytes] = GOOD, **headers: str) -> requests.Response:
        """Post an event, with more headers by name."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        common = {"X-Auth-Token": token, "Content-Type": "application/json"}
        return requests.post(self.url, body, headers=common | named, timeout=30)

    def exchange(self, sent: bytes) -> bytes:
        """What it says to these bytes, until it closes the connection or has said the end of a JSON object."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            with suppress(ConnectionError):
                connection.sendall(sent)
            received = b""
            while not received.endswith(b"}"):
                if not (more := connection.recv(65_536)):
                    break
                received += more
        return received

    def workers(self) -> list[int]:
        """The process ids of its workers; none where it is one process."""
        return [worker.pid for worker in psutil.Process(self.running.pid).children()]

    def stop(self, seconds: float) -> int:
        """Ask it to stop and return its exit code."""
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(seconds)


async def make_accounts(folder: Path, url: str | None = None) -> tuple[str, str]:
    """A new accounts database with an enabled team, in the folder or at the URL; returns its URL and a token."""
    url = url or f"sqlite:///{folder / 'accounts.db'}"
    await migrate(url)
    async with open_accounts(url) as accounts:
        await accounts.create_team(TEAM, datetime.now(UTC), ACTOR)
        secret, _ = await accounts.create_token(TEAM, "test", datetime.now(UTC), ACTOR)
    return url, secret


@contextmanager
def running_ingress(
    kafka: KafkaSettings, accounts_url: str, folder: Path, *, wait: bool = True, **settings: object
) -> Iterator[Ingress]:
    """Start `python -m ingress`, with more settings by name, and wait until it is ready."""
    port, operations_port = free_port(), free_port()
    env = {
        "ACCOUNTS_URL": accounts_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.kafka_bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.kafka_topic_prefix,
        "INGRESS_PORT": str(port),
        "INGRESS_METRICS_PORT": str(operations_port),
        **{name.upper(): str(value) for name, value in settings.items()},
    }
    log = folder / f"ingress-{port}.log"
    with process([sys.executable, "-m", "ingress"], log, env) as running:
        ingress = Ingress(port, operations_port, running, log)
        if wait:
            wait_until(lambda: ingress.is_ready() or running.poll() is not None, "the ingress is ready", START_SECONDS)
            if running.poll() is not None:
                raise RuntimeError(log.read_text("utf-8"))
        yield ingress


@dataclass(frozen=True)
class Raw:
    """A record of the raw topic, as any consumer sees it."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]

    @property
    def event_id(self) -> str:
        """The header's text."""
        return self.headers["event_id"].decode()


async def raw_records(kafka: KafkaSettings, seconds: float = 30) -> list[Raw]:
    """Everything in the raw topic, partition by partition in order."""
    found: list[Raw] = []
    deadline = time.monotonic() + seconds
    options = kafka.kafka_options() | {"auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(kafka.topics.raw, **options) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {sum(ends.values())} records were read")
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [Raw(r.partition, r.offset, r.key, r.value, dict(r.headers)) for r in records]
    return sorted(found, key=lambda record: (record.partition, record.offset))
