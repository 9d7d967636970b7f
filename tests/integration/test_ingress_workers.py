"""Several workers on one port: they count together, one that dies is replaced, and none outlives the supervisor."""

import os
import signal
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import requests

from deploy.topics import create_topics
from schemas.settings import KafkaSettings
from tests.ingress import GOOD, Ingress, make_accounts, raw_records, running_ingress
from tests.services import PARTITIONS, accepts, wait_until

WORKERS = 2
SHUTDOWN_SECONDS = 30
ACCEPTED = "eventsapi_events_accepted_total"
COUNTERS = (
    ACCEPTED,
    'eventsapi_http_requests_total{route="/v1/event",status="200"}',
    'eventsapi_http_requests_total{route="/v1/event",status="401"}',
    'eventsapi_http_request_seconds_count{route="/v1/event"}',
)


class World(NamedTuple):
    """Two workers and what they know."""

    ingress: Ingress
    kafka: KafkaSettings
    url: str
    token: str
    folder: Path


@pytest.fixture(scope="module")
async def world(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Two workers that are ready, with topics of their own."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, PARTITIONS)
    folder = tmp_path_factory.mktemp("workers")
    url, token = await make_accounts(folder)
    with running_ingress(kafka, url, folder, ingress_workers=WORKERS) as ingress:
        yield World(ingress, kafka, url, token, folder)


class Load:
    """Clients that each open a connection per event.

    Attributes:
        acknowledged: the ids of all events that were answered with 200.
        unknown: how many got no answer.
        refused: how many got another one.
    """

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.unknown = 0
        self.refused = 0

    def send(self, world: World) -> None:
        """Post once."""
        try:
            answer = world.ingress.post(world.token)
        except requests.ConnectionError:
            self.unknown += 1
            return
        if answer.ok:
            self.acknowledged.append(answer.json()["id"])
        else:
            self.refused += 1

    def progress(self, events: int) -> None:
        """Wait for so many acknowledgements more."""
        due = len(self.acknowledged) + events
        wait_until(lambda: len(self.acknowledged) >= due, "events are acknowledged")


@contextmanager
def under_load(world: World, clients: int = 4) -> Iterator[Load]:
    """Post until the end of the context."""
    load, over = Load(), threading.Event()

    def send() -> None:
        while not over.is_set():
            load.send(world)

    with ThreadPoolExecutor(clients) as pool:
        senders = [pool.submit(send) for _ in range(clients)]
        try:
            yield load
        finally:
            over.set()
    for sender in senders:
        sender.result()


async def test_metrics_when_workers_share_the_requests(world: World) -> None:
    """The counts of all workers add up exactly to what was sent, and gauges to what is there."""
    before = len(await raw_records(world.kafka))
    counted = {name: world.ingress.metric(name) for name in COUNTERS}
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: world.ingress.post(world.token), range(200)))
        refused = list(clients.map(lambda _: world.ingress.post("nobody's"), range(50)))

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.status_code for answer in refused} == {401}
    assert [world.ingress.metric(name) - counted[name] for name in COUNTERS] == [200, 200, 50, 250]
    assert len(await raw_records(world.kafka)) - before == 200
    assert world.ingress.metric("eventsapi_tokens_loaded") == 1
    assert world.ingress.metric("eventsapi_ingress_ready") == WORKERS


async def test_events_when_each_worker_is_killed(world: World) -> None:
    """While a killed worker is away the other answers; it comes back, no counter falls, nothing is lost."""
    ingress, counts = world.ingress, [world.ingress.metric(ACCEPTED)]
    with under_load(world) as load:
        for victim in ingress.workers():
            load.progress(50)
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: ingress.metric("eventsapi_ingress_ready") == WORKERS - 1, "its gauges are gone")
            assert not ingress.is_ready()
            load.progress(20)
            counts.append(ingress.metric(ACCEPTED))
            wait_until(ingress.is_ready, "its successor is ready", seconds=60)
            counts.append(ingress.metric(ACCEPTED))

    counts.append(ingress.metric(ACCEPTED))
    assert counts == sorted(counts)
    assert len(load.acknowledged) <= counts[-1] - counts[0] <= len(load.acknowledged) + load.unknown
    assert load.refused == 0
    assert set(load.acknowledged) <= {record.event_id for record in await raw_records(world.kafka)}


def test_readiness_when_a_worker_is_halted(world: World) -> None:
    """Ready means that all workers are: one that does nothing any more makes the whole not ready until it goes on."""
    halted = world.ingress.workers()[0]

    os.kill(halted, signal.SIGSTOP)
    try:
        wait_until(lambda: not world.ingress.is_ready(), "it is missed")
    finally:
        os.kill(halted, signal.SIGCONT)

    wait_until(world.ingress.is_ready, "it is ready again")


def test_workers_when_their_supervisor_is_killed(world: World) -> None:
    """They take no connection any more, finish what they have begun, end, and leave neither port nor files behind."""
    with running_ingress(world.kafka, world.url, world.folder, ingress_workers=WORKERS) as ingress:
        workers = [psutil.Process(pid) for pid in ingress.workers()]
        metrics_folder = Path(workers[0].environ()["PROMETHEUS_MULTIPROC_DIR"])
        assert metrics_folder.is_dir()

        status = status_of_an_event_during(ingress.running.kill, ingress, world.token)

        _, alive = psutil.wait_procs(workers, SHUTDOWN_SECONDS)
    assert status == b"200"
    assert alive == []
    assert not metrics_folder.exists()


def status_of_an_event_during(end: Callable[[], None], ingress: Ingress, token: str) -> bytes:
    """The answer to an event whose body comes only after the end has come."""
    head = f"POST /v1/event HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Auth-Token: {token}\r\n"
    head += f"Content-Length: {len(GOOD)}\r\nExpect: 100-continue\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", ingress.port), timeout=20)) as client:
        client.sendall(head.encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 100 ")
        end()
        wait_until(lambda: not accepts(ingress.port), "no connection is taken")
        client.sendall(GOOD)
        return client.recv(65_536).split()[1]


def test_start_when_another_ingress_has_the_port(world: World) -> None:
    """A second ingress does not join the first one's port unnoticed: it ends with code 2."""
    with running_ingress(
        world.kafka,
        world.url,
        world.folder,
        wait=False,
        ingress_workers=WORKERS,
        ingress_port=world.ingress.port,
    ) as second:
        assert second.running.wait(SHUTDOWN_SECONDS) == 2

    assert f"127.0.0.1:{world.ingress.port} (INGRESS_PORT)" in second.log.read_text("utf-8")
    assert world.ingress.post(world.token).ok


def test_start_when_no_worker_can(world: World) -> None:
    """Where a worker finds a setting wrong, the whole ends with code 2 instead of trying for ever."""
    with running_ingress(
        world.kafka,
        world.url,
        world.folder,
        wait=False,
        ingress_workers=WORKERS,
        aiohttp_no_extensions=1,
    ) as broken:
        assert broken.running.wait(SHUTDOWN_SECONDS) == 2

    said = broken.log.read_text("utf-8")
    assert "unset AIOHTTP_NO_EXTENSIONS" in said
    assert "Traceback" not in said


def test_stop_when_a_worker_hangs(world: World) -> None:
    """A worker that does not stop in time is killed, and the exit code tells of it."""
    with running_ingress(
        world.kafka, world.url, world.folder, ingress_workers=WORKERS, ingress_shutdown_seconds=0.1
    ) as ingress:
        halted = ingress.workers()[0]
        os.kill(halted, signal.SIGSTOP)

        assert ingress.stop(SHUTDOWN_SECONDS) == 1

    assert not psutil.pid_exists(halted)
    assert b"WorkersFailed" in ingress.log.read_bytes()
