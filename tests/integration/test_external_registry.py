"""A registry that is not ours: what is registered at Apicurio, by plain HTTP, types events from end to end."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import clickhouse_connect
import pytest
import requests
from aiohttp import web
from clickhouse_connect.driver import Client
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from pydantic import SecretStr

from ingress.accounts.models import Role
from ingress.registry.external import ExternalRegistry, Listed
from ingress.registry.levels import Level
from ingress.registry.refusals import Refused
from ingress.registry.settings import RegistrySettings
from ingress.registry.store import Ids, SchemaStore
from schemas.errors import Unavailable
from schemas.registered import Registered, Subject
from schemas.schema_log import SchemaLog
from schemas.settings import KafkaSettings
from tests.accounts import ACTOR, NOW, open_stores
from tests.apicurio import Apicurio, running_apicurio
from tests.console import Console, running_console
from tests.integration.test_registered_commands import events
from tests.integration.test_schema_journey import normalized
from tests.services import eventually, free_port, paused, wait_until
from tests.stack import Stack, running_stack

NOTE = {"name": "note", "type": ["null", "string"], "default": None}
REVENUE = {"name": "revenue", "type": ["null", "double"], "default": None}
ORDER = {"type": "record", "name": "Order", "fields": [REVENUE]}
# A subject of somebody else's, whose id the envelope has by default.
FOREIGN = {"type": "record", "name": "Foreign", "fields": [{"name": "a", "type": "string"}]}
TOPIC = "events.normalized"
# A deserializer asks for a route that Apicurio lacks; two of 4,500 such requests were never answered.  It tries again.
LOST_ANSWER_SECONDS = 5


@pytest.fixture
def apicurio(tmp_path: Path) -> Iterator[Apicurio]:
    """One that others use too, and that asks for compatible versions."""
    with running_apicurio(tmp_path / "apicurio") as registry:
        for number in range(3):
            registry.register(f"foreign-{number}", FOREIGN | {"name": f"Foreign{number}"})
        registry.ask("PUT", "/config", {"compatibility": "FULL"})
        yield registry


@pytest.fixture
def stack(tmp_path: Path, apicurio: Apicurio) -> Iterator[Stack]:
    """A pipeline that mirrors it."""
    settings = {"SCHEMA_REGISTRY_URL": apicurio.url, "SCHEMA_REGISTRY_POLL_SECONDS": "0.2"}
    with running_stack(tmp_path / "stack", **settings) as running:
        yield running


def test_event_when_its_schema_is_registered_elsewhere(stack: Stack, apicurio: Apicurio) -> None:
    """Confluent's deserializer at that registry reads each kind of record.

    A schema deleted there types no more events; while the registry is away, they flow on.
    """
    said = wait_until(lambda: logged(stack, "envelope_registered"), "the envelope's ids")
    assert min(said[0]["ids"]) > 3
    before = post(stack, "Bought")
    apicurio.register("demo.Bought", ORDER)
    apicurio.register("demo.Sold", ORDER)
    apicurio.register("demo.Lost", {"type": "record", "name": "Lost", "fields": [{"name": "a", "type": "null"}]})
    apicurio.register("nobody.Bought", ORDER)
    warehouse = clickhouse_connect.get_client(dsn=stack.env["CLICKHOUSE_URL"])
    for table in ("bought", "sold"):
        wait_until(partial(warehouse.command, f"EXISTS TABLE demo.{table}"), f"the table {table}")
    bought, sold = (first_typed(stack, apicurio, event) for event in ("Bought", "Sold"))
    misfit = post(stack, "Bought", revenue="much")
    late = post(stack, "Untyped", timestamp="2200-01-01T00:00:00Z")

    assert "discards" not in decoded(stack, apicurio, before)
    assert [each["field"] for each in decoded(stack, apicurio, late)["discards"]] == ["timestamp"]
    for table, event_id, revenue in (("bought", bought, 39.95), ("sold", sold, 39.95), ("bought", misfit, None)):
        assert decoded(stack, apicurio, event_id)["revenue"] == revenue
        assert stored(warehouse, table, event_id) == [(revenue,)]
    (refused,) = logged(stack, "schema_refused")
    assert (refused["subject"], refused["version"]) == ("demo.Lost", 1)
    assert metric(stack, "eventsapi_schema_versions_refused") == 1
    listed = json.loads(stack.events("schema", "list", "demo", "--json"))
    assert [each["subject"] for each in listed] == ["demo.Bought", "demo.Sold"]

    apicurio.delete("demo.Bought")
    wait_until(lambda: typed(stack, apicurio, "Bought") is None, "an event that no schema wrote")
    apicurio.stop()
    wait_until(lambda: metric(stack, "eventsapi_schema_mirror_waits") == 1, "the console has noticed")
    assert stored(warehouse, "sold", post(stack, "Sold")) == [(39.95,)]
    assert len(logged(stack, "registry_not_mirrored")) == 1


@dataclass(frozen=True)
class Mirroring:
    """A console that mirrors a registry, and its Kafka."""

    console: Console
    kafka: KafkaSettings
    team: str

    async def versions(self) -> list[tuple[str, int, bool]]:
        """What stream and sink know: subject, number and whether it is deleted."""
        registered = Registered()
        log = SchemaLog(self.kafka, "test", registered)
        following = asyncio.create_task(log.follow())
        await log.caught_up()
        following.cancel()
        await asyncio.wait({following})
        return [(str(each.subject), each.number, each.deleted) for each in registered]

    async def come_to(self, *expected: tuple[str, int, bool]) -> None:
        """Wait until they know these."""

        async def known() -> bool:
            return sorted(await self.versions()) == sorted(expected)

        await eventually(known, f"stream and sink know {expected}")

    async def says(self, event: str, times: int = 1) -> list[dict[str, Any]]:
        """Wait until the console has logged something by this name so often; all of that."""

        async def logged() -> list[dict[str, Any]]:
            found = [line for line in logs(self.console.log) if line["event"] == event]
            return found if len(found) >= times else []

        return await eventually(logged, f"the console says {event}")


@asynccontextmanager
async def mirroring(url: str, kafka: KafkaSettings, folder: Path) -> AsyncIterator[Mirroring]:
    """One with a team."""
    database = folder / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        settings = {
            "kafka_bootstrap_servers": kafka.kafka_bootstrap_servers,
            "kafka_topic_prefix": kafka.kafka_topic_prefix,
            "schema_registry_url": url,
            "schema_registry_poll_seconds": 0.1,
        }
        with running_console(database, stores, **settings) as console:
            mirror = Mirroring(console, kafka, await console.team())
            await mirror.says("envelope_registered")
            yield mirror


async def test_pages_when_schemas_are_registered_elsewhere(
    apicurio: Apicurio, kafka: KafkaSettings, tmp_path: Path
) -> None:
    """Its pages show what is mirrored and where to register; nothing is changed here, by an Owner either."""
    async with mirroring(apicurio.url, kafka, tmp_path) as mirror:
        console, subject = mirror.console, f"{mirror.team}.Bought"
        owner = await console.signed_in(await console.user({mirror.team: Role.OWNER}))
        schemas = f"/teams/{mirror.team}/schemas"
        empty = owner.get(schemas).text
        apicurio.register(subject, ORDER)
        await mirror.come_to((subject, 1, False))

        listed, shown = owner.get(schemas).text, owner.get(f"{schemas}/{subject}").text
        changes = [owner.request(method, f"{schemas}/new") for method in ("GET", "POST")]
        changes += [owner.request(method, f"{schemas}/{subject}/1/delete") for method in ("GET", "POST")]

        for page in (empty, listed, shown):
            assert urlsplit(apicurio.url).netloc in page
            assert f"{schemas}/new" not in page
        assert "/delete" not in shown
        # The address of one to be registered would be that of a subject called `new`.
        assert {answer.status_code for answer in changes} <= {404, 405}
        await mirror.come_to((subject, 1, False))


async def test_versions_when_they_come_and_go(apicurio: Apicurio, kafka: KafkaSettings, tmp_path: Path) -> None:
    """Each is taken and left as it is there; one whose column would change is refused until it is alone."""
    async with mirroring(apicurio.url, kafka, tmp_path) as mirror:
        subject = f"{mirror.team}.Order Completed/ß"
        apicurio.register(subject, ORDER)
        apicurio.register(subject, ORDER | {"fields": [REVENUE, NOTE]})
        await mirror.come_to((subject, 1, False), (subject, 2, False))

        apicurio.delete(subject, 2)
        await mirror.come_to((subject, 1, False), (subject, 2, True))
        apicurio.ask("PUT", f"/config/{quote(subject, safe='')}", {"compatibility": "NONE"})
        apicurio.register(subject, ORDER | {"fields": [REVENUE | {"type": ["null", "string"]}]})
        apicurio.register(f"{subject}@3", ORDER)
        apicurio.register(f"{subject}@2", ORDER | {"name": "Second"})
        after = [(f"{subject}@{major}", 1, False) for major in (2, 3)]
        await mirror.come_to((subject, 1, False), (subject, 2, True), *after)
        (why,) = [line["reason"] for line in await mirror.says("schema_refused") if line["subject"] == subject]
        assert "revenue" in why
        apicurio.delete(subject)
        await mirror.come_to((subject, 1, True), (subject, 2, True), *after)


async def test_registry_when_it_lost_everything(kafka: KafkaSettings, tmp_path: Path) -> None:
    """What is gone there types no more; what comes again with its ids does, and under other ids it is refused."""
    port = free_port()
    with running_apicurio(tmp_path / "first", port) as first:
        async with mirroring(first.url, kafka, tmp_path) as mirror:
            subject = f"{mirror.team}.Bought"
            first.register(subject, ORDER)
            await mirror.come_to((subject, 1, False))
            first.stop()

            with running_apicurio(tmp_path / "second", port) as second:
                await mirror.come_to((subject, 1, True))
                second.register(subject, ORDER)
                await mirror.come_to((subject, 1, False))
                second.stop()
            await mirror.says("registry_not_mirrored", 2)
            with ExitStack() as stack:
                with paused(mirror.console.running.pid):
                    third = stack.enter_context(running_apicurio(tmp_path / "third", port))
                    third.register("foreign", FOREIGN)
                    third.register(subject, ORDER)
                (refused,) = await mirror.says("schema_refused")
                assert "another version 1 before" in refused["reason"]
                await mirror.come_to((subject, 1, True))


async def test_mirror_when_a_subject_cannot_be_asked_for(kafka: KafkaSettings, tmp_path: Path) -> None:
    """A registry, or a proxy before it, that takes no slash in an address costs that subject alone."""
    team, ids = asyncio.get_running_loop().create_future(), iter(range(1, 100))

    async def answer(request: web.Request) -> web.Response:
        if "%2F" in request.rel_url.raw_path:
            return web.Response(status=400, text="<h1>Ambiguous URI path separator</h1>")
        if request.method == "POST":
            return web.json_response({"id": next(ids)})
        documents = {
            "/subjects": [f"{await team}.a/b", f"{await team}.good"],
            "/versions": [1],
            "/versions/1": {"id": 100, "schema": json.dumps(ORDER)},
            f"/config/{await team}.good": {"compatibilityLevel": "BACKWARD"},
        }
        return web.json_response(next(found for end, found in documents.items() if request.path.endswith(end)))

    app, port = web.Application(), free_port()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with mirroring(f"http://127.0.0.1:{port}", kafka, tmp_path) as mirror:
            team.set_result(mirror.team)
            await mirror.come_to((f"{mirror.team}.good", 1, False))
            (refused,) = await mirror.says("schema_refused")
            assert (refused["subject"], "400" in refused["reason"]) == (f"{mirror.team}.a/b", True)
    finally:
        await runner.cleanup()


async def test_console_when_schemas_are_registered_elsewhere(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Its own registry and the command say where; neither kind of schemas is mixed with the other."""
    database, elsewhere = tmp_path / "accounts.db", "registry.invalid:8081"
    url = {"schema_registry_url": f"http://{elsewhere}/api"}
    async with open_stores(f"sqlite:///{database}") as stores:
        await stores.accounts.create_team("acme", NOW, ACTOR)
        secret, _ = await stores.accounts.create_token("acme", "", NOW, ACTOR)
        with running_console(database, stores, **url) as console:
            asked = partial(requests.get, f"{console.base_url}/registry/subjects", auth=(secret, ""), timeout=10)
            answer = await asyncio.to_thread(asked)
        assert (answer.status_code, elsewhere in answer.json()["message"]) == (404, True)
        assert elsewhere in refusal(database, {})
        (tmp_path / "order.avsc").write_text(json.dumps(ORDER), "utf-8")
        added = events(tmp_path, kafka, "schema", "add", "acme", "Bought", "order.avsc")
        assert (added.returncode, elsewhere in added.stderr) == (1, True)

    other = tmp_path / "own.db"
    async with open_stores(f"sqlite:///{other}") as stores:
        await stores.accounts.create_team("acme", NOW, ACTOR)
        store = SchemaStore(stores.accounts._database)
        await store.register(Subject("acme", "Bought"), json.dumps(ORDER), NOW, ACTOR)
        assert "SCHEMA_REGISTRY_URL must not be set" in refusal(other, url)
        assert "credentials" in refusal(other, {"schema_registry_url": "http://user:secret@registry.invalid"})


async def test_way_there_when_it_asks_for_credentials(kafka: KafkaSettings, tmp_path: Path) -> None:
    """User and password go as Basic, and are in no error."""
    database = tmp_path / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        await stores.accounts.create_team("acme", NOW, ACTOR)
        secret, _ = await stores.accounts.create_token("acme", "", NOW, ACTOR)
        store = SchemaStore(stores.accounts._database)
        made = await store.register(Subject("acme", "Bought"), json.dumps(ORDER), NOW, ACTOR)
        with running_console(database, stores, kafka_bootstrap_servers=kafka.kafka_bootstrap_servers) as console:

            def way(password: str) -> ExternalRegistry:
                url, words = f"{console.base_url}/registry", SecretStr(password)
                return ExternalRegistry(RegistrySettings(schema_registry_url=url, schema_registry_password=words))

            async with way(secret) as registry:
                assert await registry.subjects() == ["acme.Bought"]
                assert await registry.versions("acme.Bought") == [1]
                assert await registry.version("acme.Bought", 1) == Listed(made.version.id, made.version.schema)
                assert await registry.version("acme.Bought", 2) is None
                assert await registry.level("acme.Bought") == Level.FULL_TRANSITIVE
            async with way("evt_wrong") as registry:
                with pytest.raises(Unavailable, match="401") as refused:
                    await registry.subjects()
            assert "evt_wrong" not in str(refused.value)


async def test_store_when_another_registry_gives_ids(accounts_url: str) -> None:
    """On SQLite and PostgreSQL, any ids are kept, none is given twice, and a version comes and goes."""
    async with open_stores(accounts_url) as stores:
        await stores.accounts.create_team("acme", NOW, ACTOR)
        store, subject = SchemaStore(stores.accounts._database), Subject("acme", "Bought")
        await store.claim("registry.invalid")
        made, stamp = await store.draft_for(subject, json.dumps(ORDER), Level.NONE)

        version = await store.keep(made, Ids(7, 2**31 - 1), stamp, NOW, ACTOR)

        assert version is not None
        assert await store.keep(made, Ids(7, 8), stamp, NOW, ACTOR) is None
        other, stamp = await store.draft_for(Subject("acme", "Sold"), json.dumps(ORDER), Level.NONE)
        with pytest.raises(Refused, match="Bought, version 1"):
            await store.keep(other, Ids(7, version.writer_id), stamp, NOW, ACTOR)
        await store.delete(subject, "1", NOW, ACTOR, permanent=False)
        assert await store.live_names() == set()
        await store.take_back(version, NOW, ACTOR)
        assert await store.live_names() == {"acme.Bought"}
        assert [(each.version.id, each.revision) for each in await store.pending()] == [(7, 3)]


def refusal(database: Path, settings: dict[str, str]) -> str:
    """What a console says that does not start because of its settings."""
    given = {"ACCOUNTS_URL": f"sqlite:///{database}", "CONSOLE_PORT": str(free_port())}
    env = os.environ | given | {"CONSOLE_METRICS_PORT": str(free_port())}
    env |= {name.upper(): value for name, value in settings.items()}
    command = [sys.executable, "-m", "ingress.console"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2, ended.stderr
    return ended.stderr


def stored(warehouse: Client, table: str, event_id: str) -> Sequence[Sequence[object]]:
    """Wait for the typed row of an event; its revenue."""
    query = f"SELECT revenue FROM demo.{table} WHERE event_id = %(id)s"
    return wait_until(lambda: warehouse.query(query, {"id": event_id}).result_rows, "the typed row")


def logged(stack: Stack, event: str) -> list[dict[str, Any]]:
    """What the console has logged by this name."""
    (log,) = [Path(each["log"]) for each in stack.status() if each["name"] == "console"]
    return [line for line in logs(log) if line["event"] == event]


def logs(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]


def metric(stack: Stack, name: str) -> float:
    """A metric of the console."""
    address = json.loads(stack.events("status", "--json"))["addresses"]["metrics"]["console"]
    lines = requests.get(f"{address}/metrics", timeout=5).text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def post(stack: Stack, name: str, revenue: object = 39.95, **members: object) -> str:
    """The id of an event that was accepted."""
    event = {"version": 1, "type": "event", "event": name, "properties": {"revenue": revenue}} | members
    headers = {"X-Auth-Token": stack.env["EVENTS_TOKEN"]}
    answer = requests.post(f"{stack.env['EVENTS_API_URL']}/v1/event", json=event, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    event_id: str = answer.json()["id"]
    return event_id


def typed(stack: Stack, apicurio: Apicurio, name: str) -> str | None:
    """Post an event and return its id; None where no schema wrote it."""
    event_id = post(stack, name)
    return event_id if "revenue" in decoded(stack, apicurio, event_id) else None


def first_typed(stack: Stack, apicurio: Apicurio, name: str) -> str:
    """Post events until a schema has written one; its id."""
    found = wait_until(lambda: typed(stack, apicurio, name), "an event that was written by the schema")
    assert found is not None
    return found


def decoded(stack: Stack, apicurio: Apicurio, event_id: str) -> dict[str, Any]:
    """What Confluent's deserializer makes of the record of an event."""
    record = normalized(stack, event_id)
    with SchemaRegistryClient({"url": apicurio.url, "timeout": LOST_ANSWER_SECONDS}) as client:
        found = AvroDeserializer(client)(record.value(), SerializationContext(TOPIC, MessageField.VALUE))
    assert isinstance(found, dict)
    assert str(found["event_id"]) == event_id
    return found
