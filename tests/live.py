"""A pipeline with a console, for tests, and a viewer of its Live page, who puts together what the stream tells."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import requests
from pydantic import SecretStr

from deploy.topics import create_topics
from ingress.accounts.models import Role
from schemas.settings import ClickHouseSettings, KafkaSettings
from tests.accounts import ACTOR, open_stores
from tests.console import Console, Visitor, now, running_console
from tests.ingress import Ingress, running_ingress
from tests.integration.stream_harness import broker, stream
from tests.services import PARTITIONS, eventually, wait_until
from tests.sink import running_sink

SAMPLE = 20

Entry = dict[str, Any]


@dataclass
class Viewer:
    """What one viewer has been told.

    Attributes:
        entries: by key, as the page's script puts them together.
        told: the `entries` messages one by one.
        seconds: each second that was told.
        pulse: the last one.
        ending: the last message of all; None while the stream goes on.
        closed: whether the server has closed the stream.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    told: list[list[Entry]] = field(default_factory=list)
    seconds: list[dict[str, Any]] = field(default_factory=list)
    pulse: dict[str, Any] = field(default_factory=dict)
    ending: dict[str, Any] | None = None
    last_id: str = ""
    comments: int = 0
    closed: bool = False

    async def read(self, stream: aiohttp.StreamReader) -> None:
        """Until it ends."""
        message: dict[str, str] = {}
        async for line in _lines(stream):
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                message[name] = value
            elif message:
                self._take(message)
                message = {}
        self.closed = True

    async def wait(self, condition: Callable[["Viewer"], object], what: str, seconds: float = 30) -> None:
        """Wait until what was told is so."""

        async def is_so() -> object:
            return condition(self)

        await eventually(is_so, what, seconds)

    async def entry(self, what: str, **sent: object) -> Entry:
        """Wait for an entry whose event has these members."""
        await self.wait(lambda _: self.find(**sent), what)
        (found,) = self.find(**sent)
        return found

    def find(self, **sent: object) -> list[Entry]:
        """The entries whose event has these members."""
        return [entry for entry in self.entries.values() if sent.items() <= entry["sent"].items()]

    def total(self, what: str) -> int:
        """How many were counted in all seconds."""
        return sum(second.get(what, 0) for second in self.seconds)

    def _take(self, message: dict[str, str]) -> None:
        body = json.loads(message["data"])
        self.last_id = message.get("id", self.last_id)
        if message["event"] == "entries":
            self.told.append(body)
            for entry in body:
                known = self.entries.setdefault(entry["key"], {"sent": {}})
                known |= {"fault": None} | entry
        elif message["event"] == "pulse":
            self.pulse = body
            self.seconds += body["seconds"]
        else:
            self.ending = body


@asynccontextmanager
async def looking(visitor: Visitor, team: str, last_id: str | None = None) -> AsyncIterator[Viewer]:
    """Look at a team's events for as long as the context lasts; `last_id` as a browser sends it that comes back."""
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())}
    headers |= {"Last-Event-ID": last_id} if last_id else {}
    url = f"{visitor.base_url}/teams/{team}/live/stream"
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=1 << 22) as session,
        session.get(url) as answer,
    ):
        assert answer.content_type == "text/event-stream", await answer.text()
        viewer = Viewer()
        reading = asyncio.create_task(viewer.read(answer.content))
        try:
            await viewer.wait(lambda _: viewer.pulse.get("kafka") or viewer.closed, "Kafka is followed")
            yield viewer
        finally:
            reading.cancel()
            await asyncio.wait([reading])


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[str]:
    """The lines of a stream, however long they are."""
    rest = b""
    async for part in stream.iter_any():
        *lines, rest = (rest + part).split(b"\r\n")
        for line in lines:
            yield line.decode()


class Team(NamedTuple):
    """A team, a token of it, and a browser of one of its members."""

    slug: str
    token: str
    visitor: Visitor


class World(NamedTuple):
    """A pipeline with a console."""

    ingress: Ingress
    console: Console
    kafka: KafkaSettings

    async def team(self) -> Team:
        """A team that no other test has; the ingress knows its token."""
        slug = await self.console.team()
        token, _ = await self.console.stores.accounts.create_token(slug, "test", now(), ACTOR)
        user = await self.console.user()
        await self.join(user.id, slug)
        nobody = f"{self.ingress.base_url}/v1/events/{uuid.uuid4()}"
        headers = {"X-Auth-Token": token}
        wait_until(
            lambda: requests.get(nobody, headers=headers, timeout=30).status_code != 401, "the ingress knows the token"
        )
        return Team(slug, token, await self.console.signed_in(user))

    async def join(self, user_id: str, team: str) -> None:
        """Make somebody a member."""
        people = self.console.stores.people
        await people.join(await people.invite(team, Role.MEMBER, None, now(), ACTOR), user_id, now(), None)

    def post(self, team: Team, **members: object) -> str:
        """Post an event; its id."""
        event = {"version": 1, "type": "event", "event": "x", **members}
        answer = self.ingress.post(team.token, json.dumps(event).encode())
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def post_batch(self, team: Team, count: int, **properties: object) -> None:
        """Post so many events at once."""
        events = [{"version": 1, "type": "event", "event": "many", "properties": properties}] * count
        headers = {"X-Auth-Token": team.token}
        url = f"{self.ingress.base_url}/v1/batch"
        assert requests.post(url, json={"batch": events}, headers=headers, timeout=30).status_code == 200


def console_settings(kafka: KafkaSettings) -> dict[str, object]:
    """What the console needs to know of Kafka."""
    return {
        "kafka_bootstrap_servers": kafka.kafka_bootstrap_servers,
        "kafka_topic_prefix": kafka.kafka_topic_prefix,
        "console_live_events_per_second": SAMPLE,
    }


def warehouse(clickhouse: ClickHouseSettings) -> dict[str, object]:
    """And of ClickHouse."""
    return {
        "clickhouse_url": clickhouse.clickhouse_url.get_secret_value(),
        "clickhouse_database": clickhouse.clickhouse_database,
    }


async def dead_letter(world: World, team: Team) -> None:
    """Write a raw record of the team that cannot be normalized."""
    headers = {
        "event_id": str(uuid.uuid4()),
        "team": team.slug,
        "token_id": "tok_1",
        "format": "event.v1",
        "received_at": datetime.now(UTC).isoformat(),
    }
    async with broker(world.kafka) as records:
        encoded = [(name, value.encode()) for name, value in headers.items()]
        await records.produce_raw(0, b"key", b'{"version":1,"type":"event","event":7}', encoded)


@asynccontextmanager
async def running_world(bootstrap_servers: str, clickhouse_url: str, folder: Path) -> AsyncIterator[World]:
    """Start all of it, behind a prefix and in a warehouse that no other test has."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, PARTITIONS)
    name = f"w{uuid.uuid4().hex[:12]}"
    clickhouse = ClickHouseSettings(clickhouse_url=SecretStr(clickhouse_url), clickhouse_database=name)
    database = folder / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        with (
            running_ingress(kafka, f"sqlite:///{database}", folder) as ingress,
            stream(kafka, folder / "stream.log"),
            running_sink(kafka, clickhouse, folder / "sink.log", wait=False),
            running_console(database, stores, **console_settings(kafka), **warehouse(clickhouse)) as console,
        ):
            yield World(ingress, console, kafka)
