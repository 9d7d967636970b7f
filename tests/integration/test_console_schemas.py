"""The Schemas pages of a real console with a real Kafka: shown, checked, registered, deleted."""

import html
import json
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from deploy.topics import create_topics
from ingress.accounts.access_log import Action
from ingress.accounts.models import Role
from ingress.registry.levels import Mode
from schemas.registered import Subject
from schemas.settings import ClickHouseSettings, KafkaSettings
from sink.tables import Tables
from sink.writer import Writer
from tests.accounts import ACTOR, NOW, open_stores
from tests.console import Console, Visitor, now, running_console
from tests.services import free_port
from tests.sink import envelope, store
from tests.typed import published

REVENUE = {"name": "revenue", "type": "double"}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}
EVENT = "Purchased an Item/2?"


def text(*fields: object) -> str:
    """A schema of these fields."""
    return json.dumps({"type": "record", "name": "Order", "fields": fields})


def in_shell(line: str) -> str:
    """What a line prints."""
    env = {"PATH": os.environ["PATH"]}
    return subprocess.run(["sh", "-euc", line], env=env, capture_output=True, text=True, check=True, timeout=30).stdout


@dataclass(frozen=True)
class Shop:
    """A team, and a browser of each of its people.

    Attributes:
        stranger: an Owner of the other team.
    """

    console: Console
    team: str
    other: str
    owner: Visitor
    member: Visitor
    stranger: Visitor

    @property
    def list(self) -> str:
        """The team's subjects."""
        return f"/teams/{self.team}/schemas"

    @property
    def new(self) -> str:
        """The form."""
        return f"{self.list}/new"

    def page_of(self, event: str = EVENT) -> str:
        """Of the event's subject."""
        return f"{self.list}/{quote(f'{self.team}.{event}', safe='')}"

    def send(self, do: str, schema: str, event: str = EVENT, major: str = "1") -> tuple[int, str]:
        """Fill in the form and press a button; the status, and what the page then says."""
        answer = self.owner.post(self.new, {"event": event, "schema": schema, "major": major, "do": do})
        return answer.status_code, html.unescape(answer.text)

    def seen(self, path: str) -> str:
        """What a Member is shown."""
        answer = self.member.get(path)
        assert answer.status_code == 200, answer.text
        return html.unescape(answer.text)


async def make_shop(console: Console) -> Shop:
    """One that no other test has."""
    team, other = await console.team(), await console.team()
    roles = ({team: Role.OWNER}, {team: Role.MEMBER}, {other: Role.OWNER})
    visitors = [await console.signed_in(await console.user(each)) for each in roles]
    return Shop(console, team, other, *visitors)


@pytest.fixture(scope="module")
def kafka(bootstrap_servers: str) -> KafkaSettings:
    """With topics of this module's own."""
    return KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix="schema_pages.")


@pytest.fixture(scope="module")
def warehouse(clickhouse_url: str) -> ClickHouseSettings:
    """Of this module's own."""
    return ClickHouseSettings(clickhouse_url=SecretStr(clickhouse_url), clickhouse_database="schema_pages")


@pytest.fixture(scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, kafka: KafkaSettings, warehouse: ClickHouseSettings
) -> AsyncIterator[Console]:
    """A console with a Kafka and a ClickHouse."""
    await create_topics(kafka, 1)
    database = tmp_path_factory.mktemp("schema_pages") / "accounts.db"
    names = {
        "kafka_bootstrap_servers": kafka.kafka_bootstrap_servers,
        "kafka_topic_prefix": kafka.kafka_topic_prefix,
        "clickhouse_url": warehouse.clickhouse_url.get_secret_value(),
        "clickhouse_database": warehouse.clickhouse_database,
    }
    async with open_stores(f"sqlite:///{database}") as stores:
        with running_console(database, stores, **names) as console:
            yield console


@pytest.fixture
async def shop(served: Console) -> Shop:
    """One that no other test has."""
    return await make_shop(served)


async def test_page_when_there_is_nothing(shop: Shop) -> None:
    """It says what a schema gives, and its line for the terminal registers one."""
    empty = shop.seen(shop.list)
    token, _ = await shop.console.stores.accounts.create_token(shop.team, "deploy", now(), ACTOR, schemas=True)
    line = empty.partition('id="register-line"')[2].partition(">")[2].partition("</pre>")[0]

    said = in_shell(line.replace("YOUR_TOKEN", token))

    assert f"events schema infer {shop.team} 'Order Completed'" in empty
    assert json.loads(said)["table"] == "order_completed"
    assert f"{shop.team}.order_completed" in shop.seen(shop.list)


async def test_schema_when_registered(shop: Shop, kafka: KafkaSettings) -> None:
    """It is in Kafka when the page answers, shown with its columns to Members, and logged with who did it."""
    text_sent = text(REVENUE, {"name": "event", "type": "long", "property": "The Event"})

    answer = shop.owner.post(shop.new, {"event": EVENT, "schema": text_sent, "do": "register"})

    assert (answer.status_code, answer.headers["Location"]) == (303, f"{shop.page_of()}?version=1")
    assert f"{shop.team}.{EVENT}/1" in [each.key.decode() for each in await published(kafka)]
    assert "The schema is registered" in shop.owner.get(shop.list).text
    page = shop.seen(shop.page_of())
    assert json.loads(page.partition('id="schema-shown"')[2].partition(">")[2].partition("</pre>")[0]) == json.loads(
        text_sent
    )
    assert f"{shop.team}.purchased_an_item_2" in page
    for said in ("Nullable(Float64)", "prop_event", "event is a name of ours", "from the property The Event", "in use"):
        assert said in page
    (entry,) = [each for each in await shop.console.stores.log.entries(shop.team) if "schema" in each.action]
    assert (entry.action, entry.subject) == (Action.SCHEMA_REGISTERED, f"{shop.team}.{EVENT}")
    assert entry.actor.endswith("@example.com")


async def test_schema_when_registered_again(shop: Shop) -> None:
    """The same schema, as by a reload, is no second version."""
    shop.send("register", text(REVENUE))

    assert shop.send("register", text(REVENUE))[0] == 303

    assert "stays as it is" in shop.owner.get(shop.page_of()).text
    state = await shop.console.stores.schemas.subject(f"{shop.team}.{EVENT}")
    assert state is not None
    assert [each.version.number for each in state.held] == [1]


async def test_schema_when_checked(shop: Shop) -> None:
    """The columns that it would have are shown beside what was typed, and nothing is registered."""
    shop.send("register", text({"name": "orderID", "type": "long", "default": 0}))

    both = text({"name": "order_id", "type": "long", "default": 0}, {"name": "orderID", "type": "long", "default": 0})
    status, page = shop.send("check", both)

    assert status == 200
    assert "It can be registered, as version 2" in page
    assert "order_id is another field's" in page
    assert both in page
    assert (
        "It is registered: version 1" in shop.send("check", text({"name": "orderID", "type": "long", "default": 0}))[1]
    )
    assert len(await shop.console.stores.schemas.listed(shop.team)) == 1
    assert ">2<" not in shop.seen(shop.page_of())


@pytest.mark.parametrize("do", ["check", "register"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"schema": text(NOTE)}, "<code>revenue</code> was removed and has no default"),
        (
            {"schema": text(REVENUE | {"type": "string"})},
            "<code>revenue</code> was of type double and is of type string now",
        ),
        ({"schema": "{"}, "The schema is no JSON"),
        ({"schema": text(NOTE), "major": "3"}, f".{EVENT}@2', which has no version yet"),
        ({"schema": text(NOTE), "major": "0"}, "whole number from 1 on"),
        ({"schema": text(NOTE), "event": ""}, "name as it is sent"),
        ({"schema": text(NOTE), "event": "x" * 201}, "1 to 200 characters"),
    ],
)
async def test_schema_when_refused(shop: Shop, do: str, fields: dict[str, str], words: str) -> None:
    """The form comes back with what was typed and why, in words; nothing is registered, and another major may be."""
    shop.send("register", text(REVENUE))

    status, page = shop.send(do, **fields)

    assert status == 422
    assert words in page
    assert fields["schema"] in page
    assert f'value="{fields.get("event", EVENT)}"' in page
    assert [each.versions for each in await shop.console.stores.schemas.listed(shop.team)] == [1]
    assert shop.send("register", text(NOTE), EVENT, "2")[0] == 303
    assert "major 2" in shop.seen(shop.list)


async def test_schema_when_large(shop: Shop) -> None:
    """What the registry takes, the form takes; what is larger is refused in words."""
    fields = [{"name": f"field_{number}", "type": ["null", "string"], "doc": "é" * 120} for number in range(250)]

    assert shop.send("check", text(*fields))[0] == 200
    status, page = shop.send("check", text(*fields, *fields))

    assert (status, "larger than 256 KiB" in page) == (422, True)


async def test_version_when_deleted(shop: Shop, kafka: KafkaSettings) -> None:
    """The page says what follows; afterwards it is shown as deleted, in the log, and out of use in Kafka."""
    shop.send("register", text(REVENUE))
    shop.send("register", text(REVENUE, NOTE))
    form = f"{shop.page_of()}/2/delete"
    assert "Events are written by version 1 again" in shop.owner.get(form).text
    assert "need not be compatible" in shop.owner.get(f"{shop.page_of()}/1/delete").text

    assert shop.owner.post(form).status_code == 303

    assert "The version is deleted" in shop.owner.get(shop.page_of()).text
    assert "deleted" in shop.seen(shop.page_of())
    states = {each.key.decode(): each.deleted for each in await published(kafka)}
    assert (states[f"{shop.team}.{EVENT}/1"], states[f"{shop.team}.{EVENT}/2"]) == (False, True)
    assert (await shop.console.stores.actions(shop.team))[-1] == Action.SCHEMA_DELETED
    assert [shop.owner.get(form).status_code, shop.owner.post(form).status_code] == [404, 404]
    last = f"{shop.page_of()}/1/delete"
    assert f"in <code>{shop.team}.events</code> alone" in shop.owner.get(last).text
    shop.owner.post(last)
    assert '<span class="tag bad">deleted</span>' in shop.seen(shop.list)
    assert "Version 2" in shop.seen(shop.page_of())


async def test_version_when_another_major_is_in_use(shop: Shop) -> None:
    """Deleting says which major events are written by then."""
    shop.send("register", text(REVENUE))
    shop.send("register", text(NOTE), major="2")

    assert "need not be compatible" in shop.owner.get(f"{shop.page_of()}/1/delete").text
    assert "written by major 1 again" in shop.owner.get(f"{shop.page_of(f'{EVENT}@2')}/1/delete").text
    assert "in use" not in shop.seen(shop.page_of())


async def test_subject_when_deleted_permanently(shop: Shop) -> None:
    """Nothing of it is shown any more, and the form for its next version is empty."""
    shop.send("register", text(REVENUE))
    for permanent in (False, True):
        await shop.console.stores.schemas.delete(Subject(shop.team, EVENT), None, NOW, ACTOR, permanent=permanent)

    form = shop.owner.get(f"{shop.new}?subject={quote(f'{shop.team}.{EVENT}')}")

    assert "No event has a schema yet" in shop.seen(shop.list)
    assert shop.member.get(shop.page_of()).status_code == 404
    assert (form.status_code, "revenue&#34;: " in form.text) == (200, False)


async def test_pages_when_seen_by_others(shop: Shop) -> None:
    """A Member finds no button that changes anything, and another team's Owner finds nothing, under either address."""
    shop.send("register", text(REVENUE))

    for path in (shop.list, shop.page_of()):
        main = shop.seen(path).partition("<main")[2]
        assert ("<form" in main, "/new" in main, "/delete" in main) == (False, False, False)
        assert shop.stranger.get(path).status_code == 404
    theirs = shop.page_of().replace(shop.list, f"/teams/{shop.other}/schemas")
    assert shop.stranger.get(theirs).status_code == 404
    assert shop.owner.get(f"{shop.page_of()}x").status_code == 404


async def test_subject_when_read_only(shop: Shop) -> None:
    """No button leads to a new version, and the form is refused in words."""
    shop.send("register", text(REVENUE))
    subject = Subject(shop.team, EVENT)
    await shop.console.stores.schemas.change_rules(subject, {"mode": Mode.READONLY}, NOW, ACTOR)

    page = shop.owner.get(shop.page_of()).text
    status, refused = shop.send("register", text(REVENUE, NOTE))

    assert ("New version" in page, "takes no new versions" in page) == (False, True)
    assert (status, "READONLY" in refused) == (422, True)


async def test_markup_when_registered(shop: Shop) -> None:
    """What is typed is text on every page that shows it."""
    evil = "<script>alert(1)</script>"
    shop.send("register", text(REVENUE | {"doc": evil, "property": evil}), evil)

    for path in (shop.list, shop.page_of(evil), f"{shop.page_of(evil)}/1/delete", f"/teams/{shop.team}/log"):
        answer = shop.owner.get(path)
        assert (answer.status_code, evil in answer.text) == (200, False)
    assert evil in shop.seen(shop.page_of(evil))


async def test_schema_when_proposed(shop: Shop, warehouse: ClickHouseSettings) -> None:
    """It is made of the team's own events of that name, with how they fit it, and is taken as it is."""
    assert "no events named" in shop.send("propose", "")[1]
    orders = [{"revenue": "39.95", "Order Total": 2, "paid_at": "2026-11-24T10:00:00Z"}] * 19 + [{"Order Total": "n/a"}]
    values = [
        envelope(0, at, shop.team, event=EVENT, properties_json=json.dumps(each)) for at, each in enumerate(orders)
    ]
    others = [
        envelope(0, 98, shop.other, event=EVENT, properties_json='{"secret": 1}'),
        envelope(0, 99, shop.team, event="x", properties_json='{"x": 1}'),
    ]
    async with Writer(warehouse, 30) as writer:
        await Tables(writer, warehouse.clickhouse_database).ensure()
        await store(writer, [*values, *others], shop.team, warehouse.clickhouse_database)

    status, page = shop.send("propose", "what was typed before")

    assert status == 200
    assert "Proposed from the last 20 events" in page
    assert ("secret" in page, "what was typed before" in page) == (False, False)
    assert '"n/a" is no number' in page
    proposed = page.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0]
    fields = {each["name"]: each["type"][1] for each in json.loads(proposed)["fields"]}
    assert fields == {
        "order_total": "long",
        "revenue": "double",
        "paid_at": {"type": "long", "logicalType": "timestamp-micros"},
    }
    assert shop.send("register", proposed)[0] == 303


async def test_form_when_there_is_no_clickhouse(console: Console) -> None:
    """No button offers what cannot be done."""
    shop = await make_shop(console)

    assert "Propose" not in shop.owner.get(shop.new).text


async def test_schema_when_kafka_is_away(tmp_path: Path) -> None:
    """It is kept, and the page says since when it takes effect; without ClickHouse, there is no proposal."""
    database = tmp_path / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        away = {
            "kafka_bootstrap_servers": f"127.0.0.1:{free_port()}",
            "clickhouse_url": f"http://x:y@127.0.0.1:{free_port()}",
        }
        with running_console(database, stores, **away) as console:
            shop = await make_shop(console)

            assert shop.send("register", text(REVENUE))[0] == 303

            assert "Kafka does not answer" in shop.owner.get(shop.page_of()).text
            status, page = shop.send("propose", "as typed")
            assert (status, "ClickHouse does not answer" in page, "as typed" in page) == (503, True, True)
