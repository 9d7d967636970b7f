"""Kafka pauses, comes late or refuses; the ingress is stopped under load: nothing acknowledged is lost."""

import signal
import socket
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local.kafka import KafkaNode
from deploy.topics import create_topics
from schemas.settings import KafkaSettings
from tests.ingress import GOOD, Ingress, make_accounts, raw_records, running_ingress
from tests.services import PARTITIONS, accepts, kafka_node, paused, process, running_kafka, wait_until

SHUTDOWN_SECONDS = 30
# The deadline is one second; a request without it would wait for as long as Kafka is paused.
LONG_AFTER_DEADLINE_SECONDS = 15
BIG = GOOD[:-1] + b',"properties":{"text":"%b"}}' % (b"x" * 30_000)

GOOD_REQUEST = (
    b"POST /v1/event HTTP/1.1\r\nHost: a\r\nX-Auth-Token: %b\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"


class World(NamedTuple):
    """A Kafka of this file's own, and accounts."""

    node: KafkaNode
    pid: int
    url: str
    token: str

    async def topics(self) -> KafkaSettings:
        """New topics."""
        prefix = f"t{uuid.uuid4().hex[:12]}."
        kafka = KafkaSettings(kafka_bootstrap_servers=self.node.bootstrap_servers, kafka_topic_prefix=prefix)
        await create_topics(kafka, PARTITIONS)
        return kafka


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A Kafka that may be paused."""
    node = kafka_node(tmp_path_factory.mktemp("kafka"))
    url, token = await make_accounts(tmp_path_factory.mktemp("accounts"))
    with running_kafka(node) as running:
        yield World(node, running.pid, url, token)


def resident_bytes(ingress: Ingress) -> int:
    """The memory of the process."""
    pages = Path(f"/proc/{ingress.running.pid}/statm").read_text("ascii").split()[1]
    return int(pages) * 4096


class Sent(NamedTuple):
    """What became of one request."""

    answer: requests.Response
    seconds: float


def post(ingress: Ingress, token: str, body: bytes) -> Sent:
    """Post and take the time."""
    started = time.monotonic()
    return Sent(ingress.post(token, body), time.monotonic() - started)


async def test_requests_when_kafka_is_paused(world: World, tmp_path: Path) -> None:
    """A paused Kafka gives 503 in time and bounded memory; afterwards it goes on, and nothing is doubled."""
    kafka = await world.topics()
    with (
        running_ingress(
            kafka, world.url, tmp_path, ingress_deadline_seconds=1, ingress_max_pending_bytes=1 << 20
        ) as ingress,
        ThreadPoolExecutor(16) as clients,
    ):
        answers = [ingress.post(world.token, BIG) for _ in range(20)]
        accepted = [answer.json()["id"] for answer in answers if answer.status_code == 200]
        before = resident_bytes(ingress)

        with paused(world.pid):
            sent = list(clients.map(lambda _: post(ingress, world.token, BIG), range(400)))
            pending = ingress.metric("eventsapi_producer_pending_bytes")

        assert {answer.status_code for answer, _ in sent} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer, _ in sent)
        assert all("same id" in answer.json()["message"] for answer, _ in sent)
        assert max(seconds for _, seconds in sent) < LONG_AFTER_DEADLINE_SECONDS
        assert pending <= (1 << 20) + PARTITIONS * (32 << 10)
        assert resident_bytes(ingress) - before < 32 << 20
        assert any("Too much" in answer.json()["message"] for answer, _ in sent)

        wait_until(lambda: ingress.post(world.token).status_code == 200, "events are taken again")
        wait_until(lambda: ingress.metric("eventsapi_producer_pending_bytes") == 0, "everything was sent")
        counts = Counter(record.event_id for record in await raw_records(kafka))
        assert accepted
        assert set(accepted) <= set(counts)
        assert set(counts.values()) == {1}


async def test_requests_when_one_waits_longer_than_a_connection_idles(world: World, tmp_path: Path) -> None:
    """A request at work keeps its connection open, and what was sent behind it is answered next."""
    kafka = await world.topics()
    event = GOOD_REQUEST % (world.token.encode(), len(GOOD), GOOD)
    with (
        running_ingress(kafka, world.url, tmp_path, ingress_deadline_seconds=3, ingress_keepalive_seconds=1) as ingress,
        closing(socket.create_connection(("127.0.0.1", ingress.port), timeout=LONG_AFTER_DEADLINE_SECONDS)) as client,
    ):
        client.sendall(event)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")

        with paused(world.pid):
            client.sendall(event)
            wait_until(lambda: ingress.metric("eventsapi_producer_pending_bytes") > 0, "it is at work")
            client.sendall(LIVEZ)
            received = b""
            while b'{"live":true}' not in received:
                part = client.recv(65_536)
                assert part, "closed"
                received += part

    assert [answer[:3] for answer in received.split(b"HTTP/1.1 ")] == [b"", b"503", b"200"]


async def test_start_when_kafka_comes_late(world: World, tmp_path: Path) -> None:
    """Without Kafka the ingress is not ready and answers 503; it neither ends nor has to be started again."""
    late = kafka_node(tmp_path / "kafka")
    kafka = KafkaSettings(kafka_bootstrap_servers=late.bootstrap_servers)
    with running_ingress(kafka, world.url, tmp_path, wait=False) as ingress:
        ingress.wait_until_listening()
        wait_until(lambda: ingress.post(world.token).status_code == 503, "the tokens are loaded")
        assert not ingress.is_ready()

        with running_kafka(late):
            await create_topics(kafka, PARTITIONS)
            wait_until(ingress.is_ready, "Kafka is reached")

            assert ingress.post(world.token).status_code == 200
            assert ingress.stop(SHUTDOWN_SECONDS) == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_stop_when_under_load(world: World, tmp_path: Path, workers: int) -> None:
    """SIGTERM under load ends with exit code 0 in time; all answers are 200, and all that they name is in Kafka."""
    kafka = await world.topics()
    acknowledged: list[str] = []
    statuses: Counter[int] = Counter()

    def send(ingress: Ingress) -> None:
        with requests.Session() as session:
            session.headers.update({"X-Auth-Token": world.token, "Content-Type": "application/json"})
            while True:
                try:
                    answer = session.post(ingress.url, GOOD, timeout=20)
                except requests.ConnectionError:
                    if ingress.running.poll() is not None or not accepts(ingress.port):
                        return
                    continue
                statuses[answer.status_code] += 1
                if answer.ok:
                    acknowledged.append(answer.json()["id"])

    with (
        running_ingress(kafka, world.url, tmp_path, ingress_workers=workers) as ingress,
        ThreadPoolExecutor(8) as clients,
    ):
        senders = [clients.submit(send, ingress) for _ in range(8)]
        wait_until(lambda: len(acknowledged) > 500, "load")

        assert ingress.stop(SHUTDOWN_SECONDS) == 0
        for sender in senders:
            sender.result()

    assert set(statuses) == {200}
    assert set(acknowledged) <= {record.event_id for record in await raw_records(kafka)}


@pytest.mark.parametrize("workers", [1, 2])
async def test_stop_when_a_request_is_on_its_way(world: World, tmp_path: Path, workers: int) -> None:
    """While it stops it is not ready and takes no connection, but finishes what it has begun; idle clients are left."""
    kafka = await world.topics()
    with running_ingress(kafka, world.url, tmp_path, ingress_workers=workers) as ingress, requests.Session() as idle:
        assert idle.get(f"{ingress.base_url}/livez", timeout=10).ok
        head = "POST /v1/event HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 40\r\n"
        head += f"Expect: 100-continue\r\nX-Auth-Token: {world.token}\r\n\r\n"
        with closing(socket.create_connection(("127.0.0.1", ingress.port), timeout=10)) as client:
            client.sendall(head.encode() + GOOD[:5])
            assert client.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            ingress.running.send_signal(signal.SIGTERM)
            wait_until(lambda: not accepts(ingress.port), "no connection is taken")
            assert not ingress.is_ready()
            assert ingress.running.poll() is None

            client.sendall(GOOD[5:])
            received = client.recv(65_536)

        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close" in received
        assert ingress.running.wait(SHUTDOWN_SECONDS) == 0
    assert len(await raw_records(kafka)) == 1


async def test_stop_when_kafka_is_paused(world: World, tmp_path: Path) -> None:
    """A Kafka that does not answer cannot hold up the end; who waited was told 503."""
    kafka = await world.topics()
    with running_ingress(kafka, world.url, tmp_path, ingress_deadline_seconds=1) as ingress, paused(world.pid):
        assert ingress.post(world.token).status_code == 503

        assert ingress.stop(SHUTDOWN_SECONDS) == 0


async def test_end_when_kafka_refuses_a_batch(world: World, tmp_path: Path) -> None:
    """A batch that Kafka refuses for good is not acknowledged, and the process ends, to be started anew."""
    kafka = await world.topics()
    with running_ingress(kafka, world.url, tmp_path) as ingress:
        assert ingress.post(world.token).status_code == 200
        admin = AIOKafkaAdminClient(**kafka.kafka_options())
        await admin.start()
        small = ConfigResource(ConfigResourceType.TOPIC, kafka.topics.raw, {"max.message.bytes": "200"})
        await admin.alter_configs([small])
        await admin.close()

        assert ingress.post(world.token, BIG).status_code == 503

        assert ingress.running.wait(SHUTDOWN_SECONDS) == 1
        assert b"ProducerFailed" in ingress.log.read_bytes()


def test_start_when_settings_are_wrong(tmp_path: Path) -> None:
    """Wrong settings end the process with code 2 and name every variable at fault."""
    env = {"INGRESS_PORT": "x", "INGRESS_PROT": "8080", "ACCOUNTS_URL": "mysql://root:hunter2@a/b"}
    with process([sys.executable, "-m", "ingress"], tmp_path / "log", env) as running:
        assert running.wait(SHUTDOWN_SECONDS) == 2

    said = (tmp_path / "log").read_text("utf-8")
    assert all(name in said for name in env)
    assert "hunter2" not in said


@pytest.mark.parametrize("workers", [1, 2])
def test_start_when_port_is_taken(world: World, tmp_path: Path, workers: int) -> None:
    """A taken port ends the process with code 2 and names the port and its variable."""
    kafka = KafkaSettings(kafka_bootstrap_servers=world.node.bootstrap_servers)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with running_ingress(
            kafka, world.url, tmp_path, wait=False, ingress_port=port, ingress_workers=workers
        ) as ingress:
            assert ingress.running.wait(SHUTDOWN_SECONDS) == 2

    said = ingress.log.read_text("utf-8")
    assert f"127.0.0.1:{port} (INGRESS_PORT)" in said
