"""The ingress as a process, for tests: on free ports, with accounts and a token of its own."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

from ingress.accounts.database import migrate
from ingress.accounts.store import Accounts
from schemas.settings import KafkaSettings
from tests.services import free_port, process, wait_until

TEAM = "demo"


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
    def url(self) -> str:
        """Where events go."""
        return f"http://127.0.0.1:{self.port}/v1/event"

    def is_ready(self) -> bool:
        """Whether it says that it is ready; False where it does not answer."""
        try:
            return requests.get(f"http://127.0.0.1:{self.operations_port}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def metric(self, name: str) -> float:
        """The value of a metric, by its name and labels as Prometheus writes them; 0 where it is not there yet."""
        text = requests.get(f"http://127.0.0.1:{self.operations_port}/metrics", timeout=5).text
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)

    def stop(self, seconds: float) -> int:
        """Ask it to stop and return its exit code."""
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(seconds)


def make_accounts(folder: Path) -> tuple[str, str]:
    """A new accounts database with an enabled team; returns its URL and a token."""
    url = f"sqlite:///{folder / 'accounts.db'}"

    async def make() -> str:
        await migrate(url)
        async with Accounts(url) as accounts:
            await accounts.create_team(TEAM, datetime.now(UTC))
            secret, _ = await accounts.create_token(TEAM, "test", datetime.now(UTC))
        return secret

    return url, asyncio.run(make())


@contextmanager
def running_ingress(
    kafka: KafkaSettings, accounts_url: str, log: Path, *, wait: bool = True, **settings: object
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
    with process([sys.executable, "-m", "ingress"], log, env) as running:
        ingress = Ingress(port, operations_port, running, log)
        if wait:
            wait_until(lambda: ingress.is_ready() or running.poll() is not None, "the ingress is ready")
            if running.poll() is not None:
                raise RuntimeError(log.read_text("utf-8"))
        yield ingress
