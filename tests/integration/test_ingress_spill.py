"""Kafka is away and the ingress spills to disk: events are taken, and come to Kafka in order, whatever happens."""

import json
import signal
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from deploy.local.kafka import KafkaNode
from deploy.topics import create_topics
from schemas.settings import KafkaSettings
from tests.ingress import GOOD, Ingress, make_accounts, raw_records, running_ingress
from tests.services import PARTITIONS, kafka_node, paused, running_kafka, wait_until

SHUTDOWN_SECONDS = 30
USERS = 8
NOISE_BYTES = 10_000
MEBIBYTE = 1 << 20
BIG = GOOD[:-1] + b',"properties":{"text":"%b"}}' % (b"x" * 30_000)
SPILLED, DRAINED = "eventsapi_records_spilled_total", "eventsapi_records_drained_total"
Steps = dict[str, list[int]]
"""The numbers of each user's events, in order."""


class World(NamedTuple):
    """A Kafka of one's own, new topics, and a folder for the spill."""

    node: KafkaNode
    pid: int
    kafka: KafkaSettings
    accounts_url: str
    token: str
    folder: Path

    @property
    def spill(self) -> Path:
        """The spill's folder."""
        return self.folder / "spill"

    def running(self, *, wait: bool = True, **settings: float | Path) -> AbstractContextManager[Ingress]:
        """An ingress that spills early."""
        ours: dict[str, object] = {"ingress_spill_dir": self.spill, "ingress_spill_after_seconds": 0.3, **settings}
        return running_ingress(self.kafka, self.accounts_url, self.folder, wait=wait, **ours)

    def files(self) -> list[Path]:
        """The files with records."""
        return sorted(self.spill.glob("*/*"))

    def post_steps(self, ingress: Ingress, numbers: Iterable[int], noise_bytes: int = 0) -> None:
        """Each user posts these numbers, one after the other, with noise beside them; all are acknowledged."""
        noise = {"noise": "x" * noise_bytes}

        def post(user: int) -> None:
            for number in numbers:
                body = {
                    "version": 1,
                    "type": "event",
                    "event": "step",
                    "userId": f"u{user}",
                    "number": number,
                    "properties": noise,
                }
                answer = ingress.post(self.token, json.dumps(body).encode())
                assert answer.status_code == 200, answer.text

        with ThreadPoolExecutor(USERS) as users:
            list(users.map(post, range(USERS)))

    async def steps(self) -> Steps:
        """What came to Kafka, each event the first time that it is there."""
        steps: dict[str, dict[int, None]] = defaultdict(dict)
        for record in await raw_records(self.kafka):
            steps[record.key.decode()].setdefault(json.loads(record.value)["number"])
        return {key: list(numbers) for key, numbers in steps.items()}


def all_steps(count: int) -> Steps:
    """What must come."""
    return {f"demo/u{user}": list(range(count)) for user in range(USERS)}


def wait_until_drained(ingress: Ingress) -> None:
    """Wait until Kafka has everything."""
    wait_until(lambda: ingress.metric("eventsapi_spill_records") == 0, "the spill is drained")
    wait_until(lambda: ingress.metric("eventsapi_producer_pending_bytes") == 0, "nothing waits in memory")


def readiness(ingress: Ingress) -> tuple[int, bool]:
    """The status of /readyz, and whether it says that it spills."""
    answer = requests.get(f"{ingress.base_url}/readyz", timeout=5)
    return answer.status_code, answer.json()["spilling"]


@pytest.fixture(scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[KafkaNode, int]]:
    """A Kafka that may be paused."""
    node = kafka_node(tmp_path_factory.mktemp("kafka"))
    with running_kafka(node) as running:
        yield node, running.pid


@pytest.fixture
async def world(node: tuple[KafkaNode, int], tmp_path: Path) -> World:
    """New topics for each test."""
    prefix = f"t{uuid.uuid4().hex[:12]}."
    kafka = KafkaSettings(kafka_bootstrap_servers=node[0].bootstrap_servers, kafka_topic_prefix=prefix)
    await create_topics(kafka, PARTITIONS)
    return World(*node, kafka, *await make_accounts(tmp_path), tmp_path)


async def test_events_when_kafka_is_paused(world: World) -> None:
    """They are acknowledged from disk, as /readyz and metrics tell, and come to Kafka once, each user's in order."""
    with world.running() as ingress:
        world.post_steps(ingress, range(5))
        assert readiness(ingress) == (200, False)

        with paused(world.pid):
            world.post_steps(ingress, range(5, 20))
            assert readiness(ingress) == (200, True)
            assert ingress.metric("eventsapi_spill_bytes") == sum(file.stat().st_size for file in world.files()) > 0
            assert ingress.metric("eventsapi_spill_records") == ingress.metric(SPILLED) >= 15 * USERS
        world.post_steps(ingress, range(20, 30))

        wait_until_drained(ingress)
        wait_until(lambda: readiness(ingress) == (200, False), "it is back")
        assert ingress.metric(SPILLED) == ingress.metric(DRAINED)
        assert world.files() == []
        assert await world.steps() == all_steps(30)
        assert len(await raw_records(world.kafka)) == 30 * USERS


async def test_events_when_killed_while_spilling(world: World) -> None:
    """A kill -9 loses nothing that was acknowledged, and a torn end is no hindrance; order is kept."""
    with world.running() as ingress:
        world.post_steps(ingress, range(5))
        with paused(world.pid):
            world.post_steps(ingress, range(5, 15))
            ingress.running.send_signal(signal.SIGKILL)
            ingress.running.wait(SHUTDOWN_SECONDS)
    with world.files()[-1].open("ab") as torn:
        torn.write(b"\0\0\1")

    with world.running() as ingress:
        world.post_steps(ingress, range(15, 20))
        wait_until_drained(ingress)

    assert await world.steps() == all_steps(20)
    assert world.files() == []
    assert b"spill_file_torn" in ingress.log.read_bytes()


async def test_process_when_kafka_is_away_all_its_life(world: World) -> None:
    """With partitions that are remembered it is ready and takes events at once; SIGTERM ends it with 0, losing none."""
    with world.running() as ingress:
        assert ingress.stop(SHUTDOWN_SECONDS) == 0
    with paused(world.pid), world.running() as ingress:
        assert readiness(ingress) == (200, True)
        world.post_steps(ingress, range(5))
        assert ingress.stop(SHUTDOWN_SECONDS) == 0

    with world.running() as ingress:
        wait_until_drained(ingress)

    assert await world.steps() == all_steps(5)


async def test_stop_when_nothing_was_spilled_yet(world: World) -> None:
    """What only waits in memory at SIGTERM, its sender told 503, goes to disk and on to Kafka after the next start."""
    with world.running(
        ingress_spill_after_seconds=60, ingress_deadline_seconds=61, ingress_shutdown_seconds=1
    ) as ingress:
        world.post_steps(ingress, range(1))
        with paused(world.pid), ThreadPoolExecutor(1) as client:
            sent = client.submit(world.post_steps, ingress, [1], NOISE_BYTES)
            # Noise is nearly all of an event, so that so many bytes are no fewer events.
            wait_until(lambda: ingress.metric("eventsapi_producer_pending_bytes") > USERS * NOISE_BYTES, "all wait")
            code = ingress.stop(60)
            sent.exception()
    assert code == 0
    assert world.files()

    with world.running() as ingress:
        wait_until_drained(ingress)
    assert await world.steps() == all_steps(2)


async def test_events_when_the_spill_is_full(world: World) -> None:
    """It is never larger than its bound; then the answer is 503 with Retry-After, until Kafka makes room again."""
    with (
        world.running(
            ingress_spill_max_bytes=MEBIBYTE, ingress_max_pending_bytes=MEBIBYTE, ingress_deadline_seconds=1
        ) as ingress,
        ThreadPoolExecutor(16) as clients,
    ):
        with paused(world.pid):
            answers = list(clients.map(lambda _: ingress.post(world.token, BIG), range(200)))
            assert sum(file.stat().st_size for file in world.files()) <= MEBIBYTE
            assert readiness(ingress) == (200, True)
        accepted = {answer.json()["id"] for answer in answers if answer.status_code == 200}
        refused = [answer for answer in answers if answer.status_code != 200]
        assert len(accepted) > 10
        assert {answer.status_code for answer in refused} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
        assert b"INGRESS_SPILL_MAX_BYTES" in ingress.log.read_bytes()

        wait_until(lambda: ingress.post(world.token).status_code == 200, "events are taken again")
        wait_until_drained(ingress)
    assert accepted <= {record.event_id for record in await raw_records(world.kafka)}


async def test_events_when_the_disk_fails(world: World) -> None:
    """A disk that takes nothing gives 503, never 200 or 500; when it is mended, events are spilled again."""
    with world.running(ingress_deadline_seconds=1) as ingress:
        world.post_steps(ingress, range(1))
        for partition in range(PARTITIONS):
            (world.spill / f"{partition}").touch()
        with paused(world.pid):
            statuses = {ingress.post(world.token).status_code for _ in range(5)}
            for partition in range(PARTITIONS):
                (world.spill / f"{partition}").unlink()
            wait_until(lambda: ingress.metric(SPILLED) >= 5, "what waits is spilled")
            answer = ingress.post(world.token)

        assert statuses == {503}
        assert ingress.log.read_text("utf-8").count("not_spilled") <= PARTITIONS
        assert answer.status_code == 200
        wait_until_drained(ingress)
    assert answer.json()["id"] in {record.event_id for record in await raw_records(world.kafka)}


async def test_start_when_the_folder_cannot_be_used(world: World) -> None:
    """The process ends with code 2 and says which setting, and why: no folder, or not this process's alone."""
    with world.running(), world.running(wait=False) as second:
        assert second.running.wait(SHUTDOWN_SECONDS) == 2
    with world.running(wait=False, ingress_spill_dir=world.folder / "accounts.db" / "spill") as third:
        assert third.running.wait(SHUTDOWN_SECONDS) == 2

    assert "INGRESS_SPILL_DIR" in second.log.read_text("utf-8")
    assert "another process uses it" in second.log.read_text("utf-8")
    assert "Not a directory" in third.log.read_text("utf-8")


async def test_start_when_spilling_would_be_too_late(world: World) -> None:
    """A spill that begins after the deadline would never be acknowledged: the settings are refused."""
    with world.running(wait=False, ingress_deadline_seconds=0.3) as ingress:
        assert ingress.running.wait(SHUTDOWN_SECONDS) == 2

    assert "INGRESS_SPILL_AFTER_SECONDS" in ingress.log.read_text("utf-8")
