"""Real services for the tests, on free ports of this machine; each is stopped with the context that started it."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from deploy.local.checks import is_free
from deploy.local.jars import cache_folder, fetch, locked_jars
from deploy.local.kafka import KafkaNode

PARTITIONS = 4
STOP_SECONDS = 20
FIRST_PORT, PORTS = 10_000, 22_000
T = TypeVar("T")

_given: set[int] = set()


def free_port() -> int:
    """A port that nothing listens on at this moment, and that this process has not been given before.

    Below those that the system gives to connections: one of them could take it before the server does.
    """
    while (port := FIRST_PORT + secrets.randbelow(PORTS)) in _given or not is_free(port):
        pass
    _given.add(port)
    return port


def accepts(port: int) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], T], what: str, seconds: float = 30, every_seconds: float = 0.02) -> T:
    """Poll until the condition is true and return its value; the failure says what did not come."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s: {what}")
        time.sleep(every_seconds)
    return value


async def eventually(condition: Callable[[], Awaitable[T]], what: str, seconds: float = 30) -> T:
    """The same for a condition that is awaited."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s: {what}")
        await asyncio.sleep(0.02)
    return value


@contextmanager
def process(
    command: list[str], log: Path, env: dict[str, str] | None = None, stop: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with its output in a file; at the end ask it to stop, and kill it where it does not."""
    with log.open("ab") as out:
        running = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGCONT)
            running.send_signal(stop)
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """The process does nothing for a while, as in a long collection of garbage."""
    os.kill(pid, signal.SIGSTOP)
    try:
        # On a busy machine a thread may run on for a moment, and answer.
        wait_until(lambda: _is_stopped(pid), "every thread stands still")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all(thread.joinpath("stat").read_text("utf-8").rpartition(")")[2].split()[0] == "T" for thread in threads)


def kafka_node(folder: Path) -> KafkaNode:
    """A Kafka that keeps its data in this folder, not started."""
    jars = tuple(fetch(locked_jars(), cache_folder()))
    return KafkaNode(jars, folder, port=free_port(), controller_port=free_port())


@contextmanager
def running_kafka(node: KafkaNode) -> Iterator[subprocess.Popen[bytes]]:
    """Start the node and wait until it listens."""
    with process(node.prepare(), node.data_dir / "kafka.out") as running:
        wait_until(lambda: accepts(node.port) or running.poll() is not None, "Kafka listens")
        if running.poll() is not None:
            raise RuntimeError((node.data_dir / "kafka.out").read_text("utf-8")[-2000:])
        yield running
