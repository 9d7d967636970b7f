"""The schema registry on a real console, its database and a real Kafka, with Confluent's own client and plain HTTP."""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from deploy.topics import create_topics
from ingress.accounts.access_log import Action
from ingress.accounts.models import Role
from ingress.accounts.tokens import mint
from ingress.registry.entrance import BODY_SECONDS, WRONG_TOKENS
from ingress.registry.publisher import Publisher
from ingress.registry.store import SchemaStore
from schemas.errors import Unavailable
from schemas.registered import Subject, Version, decode_version
from schemas.settings import KafkaSettings
from tests import docs
from tests.accounts import ACTOR, NOW, open_stores
from tests.console import Console, now, running_console
from tests.services import eventually, free_port, kafka_node, running_kafka

REVENUE = {"name": "revenue", "type": "double"}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}
EVENT = "Purchased an Item/2"


def text(*fields: object) -> str:
    """A schema of these fields."""
    return json.dumps({"type": "record", "name": "Order", "fields": fields})


@dataclass(frozen=True)
class Shop:
    """A team with tokens of every kind, at a console with a Kafka.

    Attributes:
        tokens: their secrets: `full` may change schemas, `reader` may not, `public` is write-only, `other` is of
            another team, `scoped` may change those of the event `x`.
    """

    console: Console
    kafka: KafkaSettings
    team: str
    tokens: dict[str, str]
    clients: list[SchemaRegistryClient] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """Of one event."""
        return f"{self.team}.{EVENT}"

    def client(self, kind: str = "full") -> SchemaRegistryClient:
        """Confluent's own."""
        url = f"{self.console.base_url}/registry"
        client = SchemaRegistryClient({"url": url, "basic.auth.user.info": f"{self.tokens[kind]}:", "max.retries": 0})
        self.clients.append(client)
        return client

    def ask(self, method: str, path: str, kind: str = "full", body: object = None, **headers: str) -> requests.Response:
        """Plain HTTP."""
        sent = {"X-Auth-Token": self.tokens[kind]} | {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(
            method,
            f"{self.console.base_url}/registry{path}",
            headers={name: value for name, value in sent.items() if value},
            data=body if isinstance(body, bytes) else None if body is None else json.dumps(body),
            timeout=30,
        )

    async def published(self) -> list[Version]:
        """What the topic holds, in its order."""
        at = TopicPartition(self.kafka.topics.schemas, 0)
        async with AIOKafkaConsumer(**self.kafka.kafka_options(), auto_offset_reset="earliest") as consumer:
            consumer.assign([at])
            end, found = (await consumer.end_offsets([at]))[at], list[Version]()
            while len(found) < end:
                found.append(decode_version((await consumer.getone()).value))
        return found


def in_shell(line: str, env: dict[str, str]) -> str:
    """What a line prints."""
    return subprocess.run(["sh", "-euc", line], env=env, capture_output=True, text=True, check=True, timeout=30).stdout


async def make_shop(console: Console, kafka: KafkaSettings) -> Shop:
    """One that no other test has."""
    team, other = await console.team(), await console.team()
    make = console.stores.accounts.create_token
    tokens = {
        "full": await make(team, "full", now(), ACTOR, schemas=True),
        "reader": await make(team, "reader", now(), ACTOR),
        "public": await make(team, "public", now(), ACTOR, write_only=True),
        "scoped": await make(team, "scoped", now(), ACTOR, schemas=True, event_names=["x"]),
        "other": await make(other, "other", now(), ACTOR, schemas=True),
    }
    return Shop(console, kafka, team, {name: secret for name, (secret, _) in tokens.items()})


@pytest.fixture(scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, bootstrap_servers: str
) -> AsyncIterator[tuple[Console, KafkaSettings]]:
    """A console with a Kafka."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix="registry.")
    await create_topics(kafka, 1)
    database = tmp_path_factory.mktemp("registry") / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        names = {"kafka_bootstrap_servers": bootstrap_servers, "kafka_topic_prefix": "registry."}
        with running_console(database, stores, **names) as console:
            yield console, kafka


@pytest.fixture
async def shop(served: tuple[Console, KafkaSettings]) -> AsyncIterator[Shop]:
    """One that no other test has."""
    shop = await make_shop(*served)
    yield shop
    for client in shop.clients:
        client.close()


async def test_client_when_it_registers(shop: Shop) -> None:
    """Confluent's client registers, finds and reads versions; each is in the topic when it is answered."""
    client, schema = shop.client(), Schema(text(REVENUE), "AVRO")

    first = client.register_schema(shop.subject, schema)
    again = shop.client().register_schema(shop.subject, Schema(json.dumps(json.loads(text(REVENUE)), indent=2), "AVRO"))
    second = client.register_schema(shop.subject, Schema(text(REVENUE, NOTE), "AVRO"))
    mine = [version for version in await shop.published() if version.subject.team == shop.team]

    assert first == again >= 1000
    assert [(each.number, each.id) for each in mine] == [(1, first), (2, second)]
    assert {each.table for each in mine} == {"purchased_an_item_2"}
    assert client.get_subjects() == [shop.subject]
    assert client.get_versions(shop.subject) == [1, 2]
    assert client.get_latest_version(shop.subject).schema_id == second
    assert client.get_version(shop.subject, 1).schema.schema_str == text(REVENUE)
    assert client.lookup_schema(shop.subject, schema).version == 1
    written, envelope = shop.client("other").get_schema(mine[1].writer_id), client.get_schema(2)
    assert json.loads(written.schema_str or "") == mine[1].writer_schema
    assert json.loads(envelope.schema_str or "")["fields"][-1]["name"] == "discards"
    assert (await shop.console.stores.log.entries(shop.team))[0].action == Action.SCHEMA_REGISTERED


async def test_client_when_schema_is_not_compatible(shop: Shop) -> None:
    """The check says so in words, the registration is refused with them, and a level of its own lets it in."""
    client, new = shop.client(), Schema(text(NOTE), "AVRO")
    client.register_schema(shop.subject, Schema(text(REVENUE, NOTE), "AVRO"))

    assert client.test_compatibility(shop.subject, new) is False
    assert client.test_compatibility(shop.subject, Schema(text(REVENUE), "AVRO")) is True
    checked = shop.ask(
        "POST",
        f"/compatibility/subjects/{quote(shop.subject, safe='')}/versions?verbose=true",
        body={"schema": text(NOTE)},
    ).json()
    assert "`revenue` was removed" in checked["messages"][0]
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(shop.subject, new)
    assert (refused.value.http_status_code, refused.value.error_code) == (409, 409)
    client.set_compatibility(shop.subject, "BACKWARD")
    assert client.get_compatibility(shop.subject) == "BACKWARD"
    assert client.register_schema(shop.subject, new) >= 1000
    actions = [entry.action for entry in await shop.console.stores.log.entries(shop.team)]
    assert Action.SCHEMA_RULES_CHANGED in actions


async def test_client_when_it_deletes(shop: Shop) -> None:
    """Deleted versions are marked in the topic and no longer listed; by id they are there for good."""
    client = shop.client()
    first = client.register_schema(shop.subject, Schema(text(REVENUE), "AVRO"))
    client.register_schema(shop.subject, Schema(text(REVENUE, NOTE), "AVRO"))

    assert client.delete_version(shop.subject, 2) == 2
    assert client.get_versions(shop.subject) == [1]
    assert client.delete_subject(shop.subject) == [1]
    assert client.get_subjects() == []
    assert shop.ask("GET", "/subjects?deleted=true").json() == [shop.subject]
    path = f"/subjects/{quote(shop.subject, safe='')}"
    assert shop.ask("DELETE", f"{path}?permanent=true").json() == [1, 2]
    assert shop.ask("GET", "/subjects?deleted=true").json() == []
    assert shop.client().get_schema(first).schema_str == text(REVENUE)
    last = {each.number: each for each in await shop.published() if each.subject.team == shop.team}
    assert [last[number].deleted for number in (1, 2)] == [True, True]
    assert shop.ask("POST", f"{path}/versions", body={"schema": text(REVENUE)}).json()["version"] == 3


def test_subject_when_read_only(shop: Shop) -> None:
    """It takes no versions until its mode is taken back."""
    client = shop.client()
    client.register_schema(shop.subject, Schema(text(REVENUE), "AVRO"))
    path = f"/mode/{quote(shop.subject, safe='')}"

    assert shop.ask("GET", path).json()["error_code"] == 40409
    assert shop.ask("PUT", path, body={"mode": "READONLY"}).json() == {"mode": "READONLY"}
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(shop.subject, Schema(text(REVENUE, NOTE), "AVRO"))
    assert refused.value.error_code == 42205
    assert shop.ask("DELETE", path).json() == {"mode": "READONLY"}
    assert client.register_schema(shop.subject, Schema(text(REVENUE, NOTE), "AVRO")) >= 1000


async def test_page_when_its_lines_are_run(served: tuple[Console, KafkaSettings]) -> None:
    """The docs' line registers a schema; its answer is as the page says, and the token is made as it says."""
    console, _ = served
    await console.stores.accounts.create_team("demo", now(), ACTOR)
    secret, _ = await console.stores.accounts.create_token("demo", "", now(), ACTOR, schemas=True)

    env = os.environ | {"EVENTS_TOKEN": secret, "CONSOLE_URL": console.base_url}
    (line,) = [block.text for block in docs.blocks("docs/registry.md")]
    answer = json.loads(in_shell(line, env))

    assert (answer["version"], answer["table"]) == (1, "order_completed")
    assert answer["columns"] == {"revenue": "Nullable(Float64)"}
    assert answer["notes"] == []


ROUTES = [
    ("GET", "/subjects"),
    ("POST", "/subjects/{s}"),
    ("DELETE", "/subjects/{s}"),
    ("GET", "/subjects/{s}/versions"),
    ("POST", "/subjects/{s}/versions"),
    ("GET", "/subjects/{s}/versions/latest"),
    ("DELETE", "/subjects/{s}/versions/latest"),
    ("GET", "/subjects/{s}/versions/1/schema"),
    ("GET", "/schemas/types"),
    ("GET", "/schemas/ids/1"),
    ("GET", "/schemas/ids/1/schema"),
    ("GET", "/schemas/ids/1/versions"),
    ("GET", "/schemas/ids/1/subjects"),
    ("POST", "/compatibility/subjects/{s}/versions/latest"),
    ("POST", "/compatibility/subjects/{s}/versions"),
    ("GET", "/config"),
    ("PUT", "/config"),
    ("GET", "/config/{s}"),
    ("PUT", "/config/{s}"),
    ("DELETE", "/config/{s}"),
    ("GET", "/mode"),
    ("PUT", "/mode"),
    ("GET", "/mode/{s}"),
    ("PUT", "/mode/{s}"),
    ("DELETE", "/mode/{s}"),
]
CHANGES = {row for row in ROUTES if row[0] in {"PUT", "DELETE"} or row == ("POST", "/subjects/{s}/versions")}


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_route_when_not_allowed(shop: Shop, method: str, path: str) -> None:
    """No token, a session's cookie and a public token get nothing; a reader and other teams change nothing."""
    at = path.format(s=quote(shop.subject, safe=""))
    body = {"schema": text(REVENUE), "compatibility": "NONE", "mode": "READONLY"}
    user = await shop.console.user({shop.team: Role.OWNER})
    cookie = "; ".join(f"{name}={value}" for name, value in (await shop.console.signed_in(user)).cookies.items())

    for headers in ({"X_Auth_Token": ""}, {"X_Auth_Token": "", "Cookie": cookie}, {"X_Auth_Token": "evt_nobodys"}):
        answer = shop.ask(method, at, body=body, **headers)
        assert (answer.status_code, answer.json()["error_code"]) == (401, 40101)
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert shop.ask(method, at, "public", body=body).json()["error_code"] == 40301
    if (method, path) in CHANGES:
        for token in ("reader", "other", "scoped"):
            assert shop.ask(method, at, token, body=body).status_code == 403
    elif "{s}" in path:
        shop.client().register_schema(shop.subject, Schema(text(REVENUE), "AVRO"))
        assert shop.ask(method, at, "other", body=body).json()["error_code"] == 40401


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/subjects/{s}/versions", b"{", 42201),
        ("POST", "/subjects/{s}/versions", b"[]", 42201),
        ("POST", "/subjects/{s}/versions", {"schema": text(REVENUE), "schemaType": "JSON"}, 42201),
        ("POST", "/subjects/{s}/versions", {"schema": text(REVENUE), "references": [{}]}, 42201),
        ("POST", "/subjects/{s}/versions", {"schema": text({"name": "x", "type": "long", "default": "x"})}, 42201),
        ("POST", "/subjects/{s}/versions", b"x" * (2 << 20), 413),
        ("POST", "/subjects/nonsense/versions", {"schema": text(REVENUE)}, 42208),
        ("POST", "/subjects/{s}%403/versions", {"schema": text(REVENUE)}, 42208),
        ("GET", "/subjects/{s}/versions", None, 40401),
        ("GET", "/subjects/%00/versions", None, 40401),
        ("PUT", "/config/{s}", {"compatibility": "NONSENSE"}, 42203),
        ("PUT", "/config/{s}", {"compatibility": "NONE"}, 40401),
        ("PUT", "/mode/{s}", {"mode": "IMPORT"}, 42204),
        ("GET", "/schemas/ids/3", None, 40403),
        ("GET", "/schemas/ids/99999999999999", None, 40403),
        ("GET", "/nowhere", None, 404),
        ("PATCH", "/subjects", None, 405),
    ],
)
def test_request_when_wrong(shop: Shop, method: str, path: str, body: object, code: int) -> None:
    """Each mistake has the code that Confluent's clients know, and words."""
    answer = shop.ask(method, path.format(s=quote(shop.subject, safe="")), body=body)

    assert answer.json()["error_code"] == code, answer.text
    assert str(answer.status_code) == str(code)[:3]
    assert answer.json()["message"]
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_token_when_it_is_guessed(shop: Shop) -> None:
    """Wrong tokens of an address run out; right ones get in all the same."""
    guesser = shop.console.visitor("127.0.0.6")

    for _ in range(WRONG_TOKENS.burst):
        assert guesser.get("/registry/subjects", X_Auth_Token=mint()).status_code == 401
    refused = guesser.get("/registry/subjects", X_Auth_Token=mint())

    assert (refused.status_code, refused.json()["error_code"]) == (429, 429)
    assert 0 < int(refused.headers["Retry-After"]) <= WRONG_TOKENS.seconds
    assert guesser.get("/registry/subjects", X_Auth_Token=shop.tokens["reader"]).status_code == 200


def test_body_when_it_is_slow(shop: Shop) -> None:
    """What does not arrive in time is 408."""
    address = urlsplit(shop.console.base_url)
    with closing(HTTPConnection(address.netloc, timeout=BODY_SECONDS + 20)) as connection:
        connection.putrequest("POST", f"/registry/subjects/{quote(shop.subject, safe='')}/versions")
        connection.putheader("X-Auth-Token", shop.tokens["full"])
        connection.putheader("Content-Length", "2")
        connection.endheaders(b"{")
        assert connection.getresponse().status == 408


async def test_version_when_kafka_is_away(tmp_path: Path) -> None:
    """It is answered with 503 and kept; when Kafka is back it is published, and sending it again is good.

    Pages work all the while.
    """
    node = kafka_node(tmp_path / "kafka")
    settings = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
    database = tmp_path / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        with running_console(database, stores, kafka_bootstrap_servers=node.bootstrap_servers) as console:
            shop = await make_shop(console, settings)
            path = f"/subjects/{quote(shop.subject, safe='')}/versions"

            answer = shop.ask("POST", path, body={"schema": text(REVENUE)})

            assert (answer.status_code, answer.json()["error_code"]) == (503, 503)
            assert answer.headers["Retry-After"]
            assert console.visitor().get("/sign-in").status_code == 200
            with running_kafka(node):
                await create_topics(settings, 1)
                await eventually(shop.published, "it is published", 60)
                again = shop.ask("POST", path, body={"schema": text(REVENUE)})
                assert again.json()["version"] == 1
                assert [version.number for version in await shop.published()] == [1]


async def test_store_when_several_register_at_once(accounts_url: str) -> None:
    """On SQLite and PostgreSQL, no id, number or table is given twice, and equal schemas have one id."""
    async with open_stores(accounts_url) as stores:
        await stores.accounts.create_team("acme", NOW, ACTOR)
        store = SchemaStore(stores.accounts._database)
        events = ["Shipped", "shipped!", "SHIPPED?"]
        for event in events:
            made = await store.register(Subject("acme", event), text(REVENUE), NOW, ACTOR)
            assert made.version.id == 1000
        states = await store.subjects("acme")
        pending = await store.pending()
        await store.delete(Subject("acme", "Shipped"), None, NOW, ACTOR, permanent=False)
        await store.mark_published(pending[0])

        tables = {held.version.table for state in states for held in state.held}
        assert len(tables) == 3
        assert len({each.version.writer_id for each in pending}) == 3
        assert next(each.revision for each in await store.pending()) == 2
        # Nothing listens there.
        nowhere = KafkaSettings(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}")
        with pytest.raises(Unavailable, match="Kafka"):
            await Publisher(nowhere, store).publish_all()
        assert len(await store.pending()) == 3
