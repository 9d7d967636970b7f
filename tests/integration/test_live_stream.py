"""The Live page's stream: a real pipeline, its teams, and who looks at them."""

import asyncio
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka.admin import NewPartitions

from deploy.topics import create_topics
from ingress.console.live.watch import MAX_VIEWERS_PER_USER
from schemas.settings import KafkaSettings
from tests.accounts import ACTOR
from tests.console import Console, Visitor, now, running_console
from tests.integration.stream_harness import broker
from tests.live import SAMPLE, Team, World, console_settings, dead_letter, looking, running_world
from tests.services import eventually, kafka_node, running_kafka, wait_until

LATE_SECONDS = 6
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
async def world(
    bootstrap_servers: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """The whole pipeline for all tests of this file, each with teams of its own."""
    async with running_world(bootstrap_servers, clickhouse_url, tmp_path_factory.mktemp("live")) as running:
        yield running


async def test_stages_when_an_event_passes(world: World) -> None:
    """An accepted event is normalized, then stored, each at its time; the payload is what was posted."""
    team = await world.team()
    async with looking(team.visitor, team.slug) as viewer:
        began = time.time()
        event_id = world.post(team, event="Bought", id="order-1", userId="u1", properties={"price": 1.5})

        entry = await viewer.entry("the event is seen", id=event_id)
        await viewer.wait(lambda _: "stored" in entry["stages"], "the event is stored")
        await viewer.wait(lambda _: any(second.get("freshness") for second in viewer.seconds), "freshness is told")

    stages, sent = entry["stages"], entry["sent"]
    assert list(stages) == ["accepted", "normalized", "stored"]
    assert began * 1000 - 1 <= stages["accepted"] <= stages["normalized"] <= stages["stored"] <= time.time() * 1000
    assert json.loads(sent["payload"])["properties"] == {"price": 1.5}
    assert (sent["name"], sent["user"], sent["senderId"], entry["fault"]) == ("Bought", "u1", "order-1", None)
    assert viewer.total("accepted") == 1
    # A change of stages does not bring the payload once more.
    assert sum("sent" in told for message in viewer.told for told in message if told["key"] == entry["key"]) == 1


async def test_faults_when_events_are_bad(world: World) -> None:
    """A refused event and a dead letter show their reason and their field, with what was sent."""
    team = await world.team()
    async with looking(team.visitor, team.slug) as viewer:
        world.ingress.post(team.token, b'{"version":1,"type":"event","event":8}')
        await dead_letter(world, team)

        refused = await viewer.entry("the refusal is seen", path="/v1/event")
        await viewer.wait(
            lambda _: (viewer.total("refused"), viewer.total("deadLetters")) == (1, 1), "both are seen and counted"
        )

    (dead,) = (entry for entry in viewer.entries.values() if "deadLetter" in entry["stages"])
    assert (refused["fault"]["reason"], refused["fault"]["field"]) == ("wrong_type", "event")
    assert list(refused["stages"]) == ["refused"]
    assert refused["sent"]["payload"].endswith('"event":8}')
    assert (dead["fault"]["reason"], dead["fault"]["field"]) == ("wrong_type", "event")
    assert list(dead["stages"]) == ["accepted", "deadLetter"]
    assert dead["sent"]["payload"].endswith('"event":7}')


async def test_nothing_when_events_are_another_team(world: World) -> None:
    """Of another team's events nothing appears, of no kind and in no count, and its page is not to be had."""
    mine, other = await world.team(), await world.team()
    async with looking(mine.visitor, mine.slug) as viewer, looking(other.visitor, other.slug) as theirs:
        world.post(other, event="secret", properties={"what": "secret"})
        world.ingress.post(other.token, b'{"event":"secret"}')
        await dead_letter(world, other)
        await theirs.wait(
            lambda _: {"stored", "deadLetter", "refused"} <= {s for e in theirs.entries.values() for s in e["stages"]},
            "the other team has seen all",
        )
        last = world.post(mine, event="mine")
        await viewer.entry("what is mine comes after it", id=last)
        await viewer.wait(lambda _: viewer.total("accepted"), "it is counted")

    assert [entry["sent"]["name"] for entry in viewer.entries.values()] == ["mine"]
    assert [viewer.total(what) for what in ("accepted", "refused", "deadLetters", "shown")] == [1, 0, 0, 1]
    for path in ("/live", "/live/stream", f"/live/event?id={last}"):
        assert other.visitor.get(f"/teams/{mine.slug}{path}").status_code == 404


async def test_resume_when_viewer_comes_back(world: World) -> None:
    """With Last-Event-ID a viewer gets what it has missed, and nothing that it has; without, all that is there."""
    team = await world.team()
    async with looking(team.visitor, team.slug) as viewer:
        first = world.post(team)
        entry = await viewer.entry("the first is seen", id=first)
        await viewer.wait(lambda _: "stored" in entry["stages"], "the first is stored")
        last_id = viewer.last_id
    missed = world.post(team)

    async with looking(team.visitor, team.slug, last_id) as back, looking(team.visitor, team.slug) as anew:
        await back.entry("what was missed comes", id=missed)
        await anew.entry("all comes", id=missed)
        assert len(anew.find(id=first)) == 1

    assert back.find(id=first) == []
    async with looking(team.visitor, team.slug, f"elsewhere.{last_id.partition('.')[2]}") as from_elsewhere:
        await from_elsewhere.entry("a mark of another console is worth nothing", id=first)


async def test_entries_when_looking_just_after(world: World) -> None:
    """Who sends an event and then looks sees it, whether or not somebody else looks already; it is not counted."""
    first, second = await world.team(), await world.team()
    for team in (first, second):
        world.post(team, event="before")
    async with looking(first.visitor, first.slug) as viewer, looking(second.visitor, second.slug) as later:
        for each in (viewer, later):
            entry = await each.entry("what was just sent is seen", name="before")
            await each.wait(lambda _, entry=entry: "stored" in entry["stages"], "it is stored")  # type: ignore[misc]
            assert (each.total("accepted"), each.total("shown")) == (0, 0)


async def test_sample_when_much_passes(world: World) -> None:
    """Of more than are shown a second, all are counted, and the limit is told."""
    team = await world.team()
    async with looking(team.visitor, team.slug) as viewer:
        world.post_batch(team, 10 * SAMPLE)

        await viewer.wait(lambda _: viewer.total("accepted") == 10 * SAMPLE, "all are counted")
        await viewer.wait(lambda _: all("stored" in e["stages"] for e in viewer.entries.values()), "stages go on")

    assert viewer.pulse["limit"] == SAMPLE
    # A batch may be read across the turn of some seconds.
    assert SAMPLE <= len(viewer.entries) == viewer.total("shown") <= 4 * SAMPLE


async def test_memory_when_viewer_reads_nothing(world: World) -> None:
    """A viewer that does not read grows no memory: it is told how many it has missed when it reads again."""
    team = await world.team()
    settings = console_settings(world.kafka) | {"console_live_events_per_second": 10_000}
    stores, database = world.console.stores, world.console.database
    with running_console(database, stores, **settings) as console:
        slow = Visitor(console.base_url, cookies=team.visitor.cookies)
        async with looking(slow, team.slug):
            pass
        before = psutil.Process(console.running.pid).memory_info().rss
        with connected(console, team) as connection:
            for _ in range(20):
                await asyncio.to_thread(world.post_batch, team, 50, text="x" * 16_000)
            grown = psutil.Process(console.running.pid).memory_info().rss - before
            received = await asyncio.to_thread(read_until, connection, b"event: pulse", b'"skipped":0,')

    assert received > 1 * MEBIBYTE
    assert grown < 80 * MEBIBYTE


def connected(console: Console, team: Team) -> socket.socket:
    """A viewer that has asked, and reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    host, port = console.base_url.removeprefix("http://").split(":")
    connection.settimeout(60)
    connection.connect((host, int(port)))
    cookie = "; ".join(f"{name}={value}" for name, value in team.visitor.cookies.items())
    head = f"GET /teams/{team.slug}/live/stream HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def read_until(connection: socket.socket, begin: bytes, without: bytes) -> int:
    """Read until a message that begins so and does not hold the other; returns how many bytes came."""
    held, count = b"", 0
    while True:
        part = connection.recv(1 << 20)
        assert part, "the stream has ended"
        count += len(part)
        *messages, held = (held + part).split(b"\r\n\r\n")
        if any(begin in message and without not in message for message in messages):
            return count


async def test_end_when_session_is_closed(world: World) -> None:
    """Whose session is closed sees nothing more, some seconds later at the latest."""
    team = await world.team()
    async with looking(team.visitor, team.slug) as viewer:
        asked_at = time.monotonic()
        assert team.visitor.post("/sign-out").status_code == 303

        await viewer.wait(lambda _: viewer.closed, "the stream is closed")

    assert time.monotonic() - asked_at < LATE_SECONDS
    assert viewer.ending is not None
    assert viewer.ending["reason"] == "signed_out"


async def test_end_when_member_is_removed(world: World) -> None:
    """Who is no longer in the team sees nothing more of it."""
    team = await world.team()
    stores = world.console.stores
    (member,) = await stores.people.members(team.slug)
    async with looking(team.visitor, team.slug) as viewer:
        await stores.people.remove_member(team.slug, member.user.id, now(), ACTOR)

        await viewer.wait(lambda _: viewer.closed, "the stream is closed", LATE_SECONDS)

    assert viewer.ending is not None
    assert viewer.ending["reason"] == "signed_out"


async def test_end_when_one_user_looks_too_often(world: World) -> None:
    """One user can take the place of few others only, and gets it back with each page that is closed."""
    team = await world.team()
    viewers = [looking(team.visitor, team.slug) for _ in range(MAX_VIEWERS_PER_USER)]
    for viewer in viewers:
        await viewer.__aenter__()
    async with looking(team.visitor, team.slug) as one_more:
        await one_more.wait(lambda _: one_more.closed, "the stream is closed")
    assert one_more.ending is not None
    assert one_more.ending["reason"] == "too_many"
    for viewer in viewers:
        await viewer.__aexit__(None, None, None)

    async def has_room() -> bool:
        async with looking(team.visitor, team.slug) as again:
            return again.ending is None

    await eventually(has_room, "there is room again")


async def test_end_when_console_stops(world: World) -> None:
    """A stop waits for no viewer, and tells each that it may come back."""
    team = await world.team()
    settings = console_settings(world.kafka)
    with running_console(world.console.database, world.console.stores, **settings) as console:
        visitor = Visitor(console.base_url, cookies=team.visitor.cookies)
        async with looking(visitor, team.slug) as viewer:
            console.running.terminate()
            await viewer.wait(lambda _: viewer.closed, "the stream is closed", 2)
            assert await asyncio.to_thread(console.running.wait, 10) == 0

    assert viewer.ending is not None
    assert viewer.ending["reason"] == "stopping"


async def test_connections_when_nobody_looks(world: World) -> None:
    """Kafka is asked only while somebody looks, and for moments after."""
    team = await world.team()
    kafka_port = int(world.kafka.kafka_bootstrap_servers.rpartition(":")[2])
    with running_console(world.console.database, world.console.stores, **console_settings(world.kafka)) as console:
        own = psutil.Process(console.running.pid)

        def connections() -> int:
            return sum(bool(at.raddr) and at.raddr.port == kafka_port for at in own.net_connections())

        assert connections() == 0
        async with looking(Visitor(console.base_url, cookies=team.visitor.cookies), team.slug):
            assert connections() > 0
        wait_until(lambda: connections() == 0, "all are closed", 20)


async def test_stream_when_kafka_comes_back(world: World, tmp_path: Path) -> None:
    """While Kafka is away the page says so; when it is back, what passes appears, in the same stream."""
    team = await world.team()
    node = kafka_node(tmp_path / "kafka")
    kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
    apart = world._replace(kafka=kafka)
    with running_console(world.console.database, world.console.stores, **console_settings(kafka)) as console:
        visitor = Visitor(console.base_url, cookies=team.visitor.cookies)
        with running_kafka(node):
            await create_topics(kafka, 1)
            looks = looking(visitor, team.slug)
            viewer = await looks.__aenter__()
            await dead_letter(apart, team)
            await viewer.wait(lambda _: len(viewer.entries) == 1, "what passes is seen")
        await viewer.wait(lambda _: not viewer.pulse["kafka"], "it says that Kafka is away")
        before = psutil.Process(console.running.pid).memory_info().rss
        with running_kafka(node):
            await dead_letter(apart, team)
            await viewer.wait(lambda _: viewer.pulse["kafka"], "it says that Kafka is back", 60)
            await viewer.wait(lambda _: len(viewer.entries) == 2, "what was written meanwhile is seen")
            await dead_letter(apart, team)
            await viewer.wait(lambda _: len(viewer.entries) == 3, "what passes is seen again")
            async with broker(kafka) as records:
                await records.admin.create_partitions({kafka.topics.raw: NewPartitions(2)})
            await add_to_new_partition(apart, team)
            await viewer.wait(lambda _: len(viewer.entries) == 4, "a new partition is found")
            grown = psutil.Process(console.running.pid).memory_info().rss - before
            await looks.__aexit__(None, None, None)

    assert viewer.ending is None
    assert viewer.pulse["skipped"] == 0
    assert grown < 30 * MEBIBYTE


async def add_to_new_partition(world: World, team: Team) -> None:
    """The same in the second partition."""
    headers: list[Any] = [("event_id", str(uuid.uuid4()).encode()), ("team", team.slug.encode())]
    async with broker(world.kafka) as records:
        await records.produce_raw(1, b"key", b"{}", headers)
