"""Unmodified clients of the Segment family, as docs/segment.md sets them up, through a whole pipeline."""

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from schemas.settings import KafkaSettings
from tests import docs, node, python_clients
from tests.faults.proxy import proxy
from tests.ingress import GOOD, Ingress, running_ingress
from tests.services import eventually, paused, wait_until
from tests.stack import Stack

PAGE = "docs/segment.md"
CALLS = {"identify", "track", "page", "screen", "group", "alias"}
HOUR_SECONDS = 3600
SLOW_SECONDS = 3
EVENTS_PER_SECOND = 2

# What a client's machine would say an hour too late or too early; the client itself is as it was installed.
PYTHON_CLOCK = """
import datetime
class Wrong(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=AHEAD)
    @classmethod
    def utcnow(cls):
        return super().utcnow() + datetime.timedelta(seconds=AHEAD)
datetime.datetime = Wrong
"""
NODE_CLOCK = """
const right = Date.now;
globalThis.Date = class extends Date {
  constructor(...given) { given.length ? super(...given) : super(right() + AHEAD * 1000); }
  static now() { return right() + AHEAD * 1000; }
};
"""


class Client(NamedTuple):
    """How one client is run.

    Attributes:
        example: what the docs have for it.
        command: a program that takes the example as its last argument, made when it is installed.
        clock: what comes before the example on a machine whose clock is AHEAD seconds ahead.
    """

    example: str
    command: Callable[[], list[str]]
    clock: str


def python(example: str, lock: str) -> Client:
    """A client in Python."""
    return Client(docs.block(PAGE, "python", example), lambda: [python_clients.install(lock), "-c"], PYTHON_CLOCK)


def node_command() -> list[str]:
    """Node with the packages of the examples."""
    node.install()
    return [node.BINARY, "--input-type=module", "-e"]


CLIENTS = {
    "segment-analytics-python 2.3": python("segment.analytics", "segment-2.3"),
    "segment-analytics-python 2.4": python("segment.analytics", "segment-2.4"),
    "rudder-sdk-python": python("rudderstack", "rudder-2.1"),
    "analytics-node": Client(docs.block(PAGE, "javascript", "analytics-node"), node_command, NODE_CLOCK),
}


class World(NamedTuple):
    """A pipeline, an ingress of its own in front of it, and the one who calls."""

    stack: Stack
    ingress: Ingress
    user: str

    def run(self, client: Client, url: str | None = None, ahead_seconds: int = 0, **env: str) -> str:
        """Run the client's example for this user; what it prints."""
        example = client.example.replace("user-1", self.user)
        if ahead_seconds:
            example = client.clock.replace("AHEAD", str(ahead_seconds)) + example
        url = url or self.ingress.base_url
        return docs.run([*client.command(), example], self.stack, cwd=node.FOLDER, EVENTS_API_URL=url, **env)

    def answers(self, status: int) -> float:
        """How many batches were answered so."""
        return self.ingress.metric(f'eventsapi_http_requests_total{{route="/v1/batch",status="{status}"}}')

    def rows(self) -> list[dict[str, Any]]:
        """This user's rows, as the team sees them."""
        query = "SELECT kind, event, user_id, occurred_at, received_at, sent_at, properties FROM demo.events"
        query += f" WHERE user_id = '{self.user}' FORMAT JSONEachRow"
        answer = requests.post(self.stack.env["CLICKHOUSE_URL"], query, timeout=30)
        answer.raise_for_status()
        return [json.loads(line) for line in answer.text.splitlines()]

    def by_kind(self) -> dict[str, dict[str, Any]]:
        """The same once all are there, and each is there once."""
        wait_until(lambda: {row["kind"] for row in self.rows()} == CALLS, "all six calls are rows", 60)
        rows = self.rows()
        assert len(rows) == len(CALLS)
        return {row["kind"]: row for row in rows}


@contextmanager
def in_front(stack: Stack, folder: Path, **settings: Any) -> Iterator[Ingress]:
    """One more ingress of the stack's Kafka and accounts, which nobody else calls."""
    kafka = KafkaSettings(kafka_bootstrap_servers=stack.env["KAFKA_BOOTSTRAP_SERVERS"])
    with running_ingress(kafka, f"sqlite:///{stack.data_dir / 'accounts.db'}", folder, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def ingress(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingress]:
    """An ingress that does not wait long for Kafka."""
    with in_front(stack, tmp_path_factory.mktemp("ingress"), ingress_deadline_seconds=1) as running:
        yield running


@pytest.fixture
def world(stack: Stack, ingress: Ingress) -> World:
    """A user that no other test has."""
    return World(stack, ingress, f"u-{uuid.uuid4().hex}")


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    """Each client in turn."""
    return CLIENTS[request.param]


def time(text: str) -> datetime:
    """A time as ClickHouse writes it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_calls_when_all_is_well(world: World, client: Client) -> None:
    """Each of the six calls is one row with its name, its user, its properties and the client's own time."""
    before = datetime.now(UTC)

    assert world.run(client) == ""

    rows = world.by_kind()
    assert {kind: row["event"] for kind, row in rows.items()} == {
        "identify": "identify",
        "track": "Purchased an Item",
        "page": "Pricing",
        "screen": "Cart",
        "group": "group",
        "alias": "alias",
    }
    assert {kind: row["properties"] for kind, row in rows.items()} == {
        "identify": {"plan": "pro"},
        "track": {"revenue": "39.95"},
        "page": {"name": "Pricing", "category": "Docs", "dark": True},
        "screen": {"name": "Cart", "category": "App", "dark": True},
        "group": {"groupId": "team-1", "seats": 5},
        "alias": {"previousId": "visitor-1"},
    }
    for row in rows.values():
        assert before - timedelta(seconds=1) <= time(row["occurred_at"]) <= time(row["received_at"])


@pytest.mark.parametrize("ahead_seconds", [-HOUR_SECONDS, HOUR_SECONDS])
def test_time_when_clock_is_wrong(world: World, client: Client, ahead_seconds: int) -> None:
    """A clock that is an hour wrong is put right by when the client says that it sent."""
    before = datetime.now(UTC)

    world.run(client, ahead_seconds=ahead_seconds)

    for row in world.by_kind().values():
        wrong_seconds = (time(row["sent_at"]) - time(row["received_at"])).total_seconds()
        assert abs(wrong_seconds - ahead_seconds) < HOUR_SECONDS / 60
        assert before - timedelta(seconds=1) <= time(row["occurred_at"]) <= time(row["received_at"])


async def test_time_when_the_way_is_slow(world: World, client: Client) -> None:
    """Time on the way is not taken for a wrong clock: what happened before it was sent does not move past that."""
    async with proxy(world.ingress.port) as between:
        between.requests.delay_seconds = SLOW_SECONDS

        await asyncio.to_thread(partial(world.run, client, f"http://127.0.0.1:{between.port}"))

    for row in world.by_kind().values():
        assert time(row["occurred_at"]) <= time(row["sent_at"]) <= time(row["received_at"])
        assert time(row["received_at"]) - time(row["sent_at"]) >= timedelta(seconds=SLOW_SECONDS)


async def test_calls_when_connection_is_cut_before_the_answer(world: World, client: Client) -> None:
    """The client sends again by itself, and each call is one row still."""
    before = world.answers(200)
    async with proxy(world.ingress.port) as between:
        between.answers.swallow = True
        url = f"http://127.0.0.1:{between.port}"
        running = asyncio.create_task(asyncio.to_thread(partial(world.run, client, url)))
        await eventually(partial(asyncio.to_thread, lambda: world.answers(200) > before), "the batch is answered", 60)
        between.heal()

        assert await running == ""

    assert world.answers(200) == before + 2
    assert len(world.by_kind()) == len(CALLS)


async def test_calls_when_kafka_is_away(world: World, client: Client) -> None:
    """503 is tried again until Kafka is back, and each call is one row."""
    before = world.answers(503)
    with paused(world.stack.pid("kafka")):
        running = asyncio.create_task(asyncio.to_thread(partial(world.run, client)))
        await eventually(partial(asyncio.to_thread, lambda: world.answers(503) > before), "a batch is answered", 60)

    assert await running == ""
    assert len(world.by_kind()) == len(CALLS)


def test_calls_when_there_are_too_many(world: World, client: Client, tmp_path: Path) -> None:
    """429 is tried again when the limit allows it, and each call is one row."""
    with in_front(world.stack, tmp_path, ingress_team_events_per_second=EVENTS_PER_SECOND) as limited:
        spend(limited, world.stack.env["EVENTS_TOKEN"], 5 * EVENTS_PER_SECOND)
        world = world._replace(ingress=limited)

        assert world.run(client) == ""

        assert world.answers(429) > 0
        assert len(world.by_kind()) == len(CALLS)


def spend(ingress: Ingress, token: str, events: int) -> None:
    """Send so many events at once, which is more than may be sent in the next seconds."""
    body = b'{"batch":[%b]}' % b",".join([GOOD] * events)
    answer = requests.post(f"{ingress.base_url}/v1/batch", body, headers={"X-Auth-Token": token}, timeout=30)
    assert answer.status_code == 200


def test_calls_when_token_is_wrong(world: World, client: Client) -> None:
    """401 is one attempt and an error that reaches the program, not eleven attempts and silence."""
    before = world.answers(401)

    printed = world.run(client, EVENTS_TOKEN="evt_nobodys")

    assert "not sent:" in printed
    assert world.answers(401) == before + 1


@pytest.mark.parametrize("lock", ["segment-2.3", "segment-2.4", "rudder-2.1"])
def test_batch_when_one_call_holds_nan(world: World, lock: str) -> None:
    """Python's clients write NaN, which is no JSON: that call is refused, the others arrive."""
    client = python("rudderstack" if "rudder" in lock else "segment.analytics", lock)
    nan = client._replace(example=client.example.replace('{"revenue": "39.95"}', '{"revenue": float("nan")}'))

    world.run(nan)

    wait_until(lambda: {row["kind"] for row in world.rows()} == CALLS - {"track"}, "the others are rows", 60)


def test_page_when_read() -> None:
    """No code block of the page is left untried."""
    assert {block.text for block in docs.blocks(PAGE)} == {client.example for client in CLIENTS.values()}
