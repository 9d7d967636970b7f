"""Where an event is: receipts from a real Kafka and ClickHouse, at every stage, and to nobody else than its team."""

import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from pydantic import SecretStr

from deploy.topics import create_topics
from ingress.accounts.store import open_accounts
from ingress.receipts.look_up import NO_CLICKHOUSE, NOT_ALL_READ, SPILLED
from schemas.errors import ErrorCode
from schemas.settings import ClickHouseSettings, KafkaSettings
from schemas.topics import partition_for
from tests.accounts import ACTOR
from tests.ingress import TEAM, Ingress, make_accounts, raw_records, running_ingress
from tests.integration.stream_harness import broker, stream
from tests.services import PARTITIONS, free_port, kafka_node, running_kafka, wait_until
from tests.sink import Warehouse, running_sink, without_merges

OTHER_TEAM = "other"
OFTEN = 10_000


class World(NamedTuple):
    """An ingress that can read the warehouse, the tokens of two teams, and what stream and sink need."""

    ingress: Ingress
    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    accounts_url: str
    folder: Path
    token: str
    other_token: str

    def post(self, **members: object) -> str:
        """Post an event of the team; its id."""
        return str(post(self.ingress, self.token, **members).json()["id"])

    def receipt(self, event_id: str) -> dict[str, Any]:
        """The receipt of an event of the team, which must be there."""
        answer = ask(self.ingress, self.token, event_id)
        assert answer.status_code == 200, answer.text
        receipt: dict[str, Any] = answer.json()
        return receipt

    def wait_for(self, event_id: str, state: str) -> dict[str, Any]:
        """Wait until the event has come so far; its receipt."""
        wait_until(lambda: self.receipt(event_id)["state"] == state, f"the event is {state}", 60)
        return self.receipt(event_id)

    @contextmanager
    def running(self, *, sink: bool) -> Iterator[None]:
        """Stream, and sink where it is wanted."""
        with stream(self.kafka, self.folder / "stream.log"):
            if not sink:
                yield
                return
            with running_sink(self.kafka, self.clickhouse, self.folder / "sink.log"):
                yield


@pytest.fixture(scope="module")
async def world(
    bootstrap_servers: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """One pipeline for all tests of this file; each starts stream and sink for itself."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    clickhouse = ClickHouseSettings(
        clickhouse_url=SecretStr(clickhouse_url), clickhouse_database=f"w{uuid.uuid4().hex[:12]}"
    )
    await create_topics(kafka, PARTITIONS)
    folder = tmp_path_factory.mktemp("receipts")
    url, token = await make_accounts(folder)
    async with open_accounts(url) as accounts:
        await accounts.create_team(OTHER_TEAM, datetime.now(UTC), ACTOR)
        other_token, _ = await accounts.create_token(OTHER_TEAM, "", datetime.now(UTC), ACTOR)
    with running_ingress(
        kafka,
        url,
        folder,
        clickhouse_url=clickhouse_url,
        clickhouse_database=clickhouse.clickhouse_database,
        ingress_receipts_per_second=OFTEN,
    ) as ingress:
        yield World(ingress, kafka, clickhouse, url, folder, token, other_token)


def post(ingress: Ingress, token: str, **members: object) -> requests.Response:
    """Post an event with these members."""
    event = {"version": 1, "type": "event", "event": "x", **members}
    return requests.post(ingress.url, json=event, headers={"X-Auth-Token": token}, timeout=30)


def ask(ingress: Ingress, token: str | None, event_id: str, method: str = "GET") -> requests.Response:
    """Ask for a receipt."""
    headers = {"X-Auth-Token": token} if token else {}
    return requests.request(method, f"{ingress.base_url}/v1/events/{event_id}", headers=headers, timeout=30)


def ask_by_own_id(ingress: Ingress, token: str, own_id: str) -> requests.Response:
    """Ask by the id that the sender gave the event."""
    url = f"{ingress.base_url}/v1/events?sender_id={own_id}"
    return requests.get(url, headers={"X-Auth-Token": token}, timeout=30)


def user_in(partition: int) -> str:
    """A user whose events lie in this partition."""
    users = (f"u{number}" for number in range(100))
    return next(user for user in users if partition_for(f"{TEAM}/{user}".encode(), PARTITIONS) == partition)


def code(answer: requests.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


async def test_receipt_when_stream_is_stopped(world: World) -> None:
    """An event that waits for the stream is accepted: at its time, with its token, and where its raw record is."""
    event_id = world.post()

    receipt = world.receipt(event_id)

    (raw,) = [record for record in await raw_records(world.kafka) if record.event_id == event_id]
    assert (receipt["state"], receipt["complete"], receipt["gap"]) == ("accepted", True, None)
    assert receipt["accepted"] | {"received_at": None} == {
        "received_at": None,
        "token_id": raw.headers["token_id"].decode(),
        "topic": world.kafka.topics.raw,
        "partition": raw.partition,
        "offset": raw.offset,
    }
    assert datetime.fromisoformat(receipt["accepted"]["received_at"]) == datetime.fromisoformat(
        raw.headers["received_at"].decode()
    )
    assert receipt["sendings"] == [receipt["accepted"]]
    assert [receipt[stage] for stage in ("normalized", "dead_letter", "stored")] == [None] * 3


async def test_receipt_when_sink_is_stopped(world: World) -> None:
    """An event that waits for the sink is normalized, and its receipt says when and where."""
    event_id = world.post()

    with world.running(sink=False):
        receipt = world.wait_for(event_id, "normalized")

    async with broker(world.kafka) as kafka:
        records = (await kafka.records(world.kafka.topics.normalized))[receipt["normalized"]["partition"]]
    (record,) = [record for record in records if dict(record.headers)["event_id"] == event_id.encode()]
    assert receipt["normalized"]["offset"] == record.offset
    assert datetime.fromisoformat(receipt["normalized"]["normalized_at"]).timestamp() == record.timestamp / 1_000
    assert receipt["accepted"]["token_id"]
    assert receipt["stored"] is None
    assert receipt["complete"]


async def test_receipt_when_stored(world: World) -> None:
    """An event that analysts see is stored: in which table, and when, as the row has it."""
    event_id = world.post()

    with world.running(sink=True):
        receipt = world.wait_for(event_id, "stored")

    row = "SELECT _raw_partition, _raw_offset, inserted_at FROM {{events}} WHERE event_id = '{id}' FORMAT TSV"
    partition, offset, inserted_at = Warehouse(world.clickhouse).value(row.format(id=event_id)).split("\t")
    assert receipt["stored"]["table"] == f"{TEAM}.events"
    assert datetime.fromisoformat(receipt["stored"]["inserted_at"]) == datetime.fromisoformat(f"{inserted_at}+00:00")
    assert (receipt["accepted"]["partition"], receipt["accepted"]["offset"]) == (int(partition), int(offset))
    assert receipt["accepted"]["token_id"].startswith("tok_")
    assert receipt["normalized"]["partition"] == int(partition)
    assert (receipt["complete"], receipt["dead_letter"]) == (True, None)


def test_receipt_when_event_moves_on(world: World) -> None:
    """At no moment of its way is an acknowledged event not found, and for none of those who ask it goes back."""
    order = ["accepted", "normalized", "stored"]

    def follow(event_id: str) -> list[str]:
        states = ["accepted"]
        while states[-1] != "stored":
            states.append(world.receipt(event_id)["state"])
        return states

    # Look-ups wait for each other between their questions: more happens meanwhile.
    with world.running(sink=True), ThreadPoolExecutor(6) as askers:
        world.wait_for(world.post(), "stored")
        for _ in range(10):
            for states in askers.map(follow, [world.post()] * 6):
                assert states == sorted(states, key=order.index)


async def test_receipt_when_sent_again(world: World) -> None:
    """An event that was sent twice has two sendings, one row that stays, and is found by the sender's own id too."""
    warehouse = await without_merges(world.clickhouse)
    first, second = (world.post(id="order-1", timestamp="2026-11-24T10:00:00Z") for _ in range(2))
    assert first == second

    with world.running(sink=True):
        count = f"SELECT count() FROM {{events}} WHERE event_id = '{first}'"
        wait_until(lambda: warehouse.value(count) == "2", "both sendings are rows", 60)
    receipt = world.receipt(first)

    assert receipt["state"] == "stored"
    sent = [(record.partition, record.offset) for record in await raw_records(world.kafka) if record.event_id == first]
    assert [(sending["partition"], sending["offset"]) for sending in receipt["sendings"]] == sent
    assert receipt["accepted"] == receipt["sendings"][0]
    by_own_id = ask_by_own_id(world.ingress, world.token, "order-1")
    assert by_own_id.json() == receipt


async def test_receipt_when_poison(world: World) -> None:
    """A record that cannot be normalized is a dead letter with its reason, of the team in its header and no other."""
    event_id = str(uuid.uuid4())
    headers = [
        ("event_id", event_id.encode()),
        ("team", TEAM.encode()),
        ("token_id", b"tok_poison"),
        ("format", b"event.v1"),
        ("received_at", b"2026-11-24T10:00:00.000001+00:00"),
    ]
    async with broker(world.kafka) as kafka:
        await kafka.produce_raw(1, b"key", b'{"version":1,"type":"event"}', headers)

    with world.running(sink=False):
        receipt = world.wait_for(event_id, "dead_letter")

    letter = receipt["dead_letter"]
    assert (letter["reason"], letter["field"]) == ("missing_member", "event")
    assert letter["detail"]
    assert (letter["topic"], letter["partition"]) == (world.kafka.topics.dead_letter, 1)
    assert receipt["accepted"]["token_id"] == "tok_poison"
    assert receipt["accepted"]["received_at"] == "2026-11-24T10:00:00.000001Z"
    assert (receipt["complete"], receipt["normalized"], receipt["stored"]) == (True, None, None)
    assert code(ask(world.ingress, world.other_token, event_id)) == (404, "event_not_found")


async def test_refusal_when_event_is_another_teams(world: World) -> None:
    """Another team's event is as good as none, wherever it is on its way; its own team finds it."""
    own_id = "mine"
    event_id = post(world.ingress, world.other_token, id=own_id).json()["id"]
    accepted = ask(world.ingress, world.token, event_id)
    with world.running(sink=False):
        wait_until(
            lambda: ask(world.ingress, world.other_token, event_id).json()["state"] == "normalized", "normalized", 60
        )
        normalized = ask(world.ingress, world.token, event_id)
    with world.running(sink=True):
        wait_until(lambda: ask(world.ingress, world.other_token, event_id).json()["state"] == "stored", "stored", 60)
        stored = ask(world.ingress, world.token, event_id)
    by_own_id = ask_by_own_id(world.ingress, world.token, own_id)

    for answer in (accepted, normalized, stored, by_own_id):
        assert code(answer) == (404, "event_not_found")
        assert OTHER_TEAM not in answer.text


def test_refusal_when_event_was_never_sent(world: World) -> None:
    """An id that nobody sent is not found, and the message says what that means."""
    answer = ask(world.ingress, world.token, str(uuid.uuid4()))

    assert code(answer) == (404, "event_not_found")
    assert "was not answered with 200" in answer.json()["message"]


@pytest.mark.parametrize(
    ("token", "refusal"),
    [(None, ErrorCode.MISSING_TOKEN), ("", ErrorCode.MISSING_TOKEN), ("evt_nobodys", ErrorCode.UNKNOWN_TOKEN)],
)
def test_refusal_when_token_is_none(world: World, token: str | None, refusal: ErrorCode) -> None:
    """Who has no token of the team learns nothing, not even whether the id is one."""
    event_id = world.post()

    for asked in (event_id, "no-id"):
        assert code(ask(world.ingress, token, asked)) == (refusal.status, refusal)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_refusal_when_method_is_wrong(world: World, method: str) -> None:
    """A receipt can only be read."""
    answer = ask(world.ingress, world.token, str(uuid.uuid4()), method)

    assert code(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/events/",
        "/v1/events/order-1",
        "/v1/events/%7Bid%7D",
        "/v1/events/0192' OR 1=1 --",
        "/v1/events/{01936f0e-8a1c-7c3e-9b5f-2d1e4a6b8c0d}",
        "/v1/events",
        "/v1/events?sender_id=",
        "/v1/events?sender_id=a&sender_id=b",
        f"/v1/events?sender_id={'x' * 101}",
    ],
)
def test_refusal_when_id_is_bad(world: World, path: str) -> None:
    """What cannot be an id is refused before anything is looked up, and the message says how to ask."""
    answer = requests.get(world.ingress.base_url + path, headers={"X-Auth-Token": world.token}, timeout=30)

    assert code(answer) == (400, "invalid_value")
    assert "sender_id" in answer.json()["message"]


def test_refusal_when_path_goes_on(world: World) -> None:
    """There is nothing below a receipt."""
    assert code(ask(world.ingress, world.token, f"{uuid.uuid4()}/x")) == (404, "not_found")


def test_metrics_when_asked(world: World) -> None:
    """Requests are counted under the route's pattern, and a look-up that finds nothing refuses no event."""
    counted = 'eventsapi_http_requests_total{route="/v1/events/{id}",status="404"}'
    before = world.ingress.metric(counted)

    ask(world.ingress, world.token, str(uuid.uuid4()))

    assert world.ingress.metric(counted) == before + 1
    assert world.ingress.metric('eventsapi_events_refused_total{code="event_not_found"}') == 0


def test_receipt_when_too_much_waits(world: World, kafka: KafkaSettings) -> None:
    """Where more waits than may be read, what is found is told, and what is not is unknown instead of absent."""
    own_ids = [f"much-{number}" for number in range(20)]
    with ingress_with(world._replace(kafka=kafka), ingress_receipt_max_records=2 * PARTITIONS) as ingress:
        first = post(ingress, world.token, userId="u1").json()["id"]
        others = [post(ingress, world.token, userId="u1", id=own_id).json()["id"] for own_id in own_ids]
        receipts = [ask(ingress, world.token, event_id).json() for event_id in (first, *others)]

    found = [receipt for receipt in receipts if receipt["state"] == "accepted"]
    assert [receipt["id"] for receipt in found] == [receipts[0]["id"], *(receipt["id"] for receipt in receipts[-2:])]
    unknown = receipts[1]
    assert (unknown["state"], unknown["accepted"]) == ("unknown", None)
    assert {(receipt["complete"], receipt["gap"]) for receipt in receipts} == {(False, NOT_ALL_READ)}


async def test_receipt_when_a_record_cannot_be_read(world: World, kafka: KafkaSettings) -> None:
    """Behind a record that Kafka's client cannot read anything may lie: an event that is not found is unknown."""
    apart, event_id = world._replace(kafka=kafka), str(uuid.uuid4())
    async with broker(kafka) as records:
        await records.produce_raw(0, b"key", b"{}", [("no text", b"")], garble=(b"no text", b"no\xfftext"))
    with ingress_with(apart) as ingress:
        elsewhere = post(ingress, world.token, userId=user_in(3)).json()["id"]

        hidden, found = ask(ingress, world.token, event_id).json(), ask(ingress, world.token, elsewhere).json()

        with apart.running(sink=False):
            wait_until(lambda: ask(ingress, world.token, event_id).status_code == 404, "the stream has passed it", 60)
    assert (hidden["state"], hidden["gap"]) == ("unknown", NOT_ALL_READ)
    assert found["state"] == "accepted"


async def test_receipt_when_clickhouse_is_not_configured(world: World) -> None:
    """Without ClickHouse the receipt tells what Kafka knows, and that it does not know what is stored."""
    event_id = world.post(userId=user_in(3))
    with world.running(sink=True):
        world.wait_for(event_id, "stored")
    with ingress_with(world, clickhouse_url=None) as ingress:
        receipt = ask(ingress, world.token, event_id).json()
        nothing = ask(ingress, world.token, str(uuid.uuid4())).json()

    assert (receipt["state"], receipt["stored"], receipt["complete"]) == ("accepted", None, False)
    assert receipt["gap"] == nothing["gap"] == NO_CLICKHOUSE
    assert receipt["accepted"]["token_id"]
    assert nothing["state"] == "unknown"


@pytest.mark.parametrize("file", ["3/1", "worker-2/3/1"])
def test_receipt_when_events_wait_on_disk(world: World, tmp_path: Path, file: str) -> None:
    """While any worker's spill holds records, an event that is not found is unknown: it may be among them."""
    spilled = tmp_path / "spill" / file
    with ingress_with(world, ingress_spill_dir=tmp_path / "spill") as ingress:
        spilled.parent.mkdir(parents=True, exist_ok=True)
        spilled.touch()
        waits = ask(ingress, world.token, str(uuid.uuid4())).json()
        spilled.unlink()
        drained = ask(ingress, world.token, str(uuid.uuid4()))

    assert (waits["state"], waits["complete"], waits["gap"]) == ("unknown", False, SPILLED)
    assert code(drained) == (404, "event_not_found")


def test_refusal_when_clickhouse_is_away(world: World) -> None:
    """A receipt that cannot be whole is refused for now, names ClickHouse, tells no address, and refuses no event."""
    with ingress_with(world, clickhouse_url=f"http://reader:hunter2@127.0.0.1:{free_port()}") as ingress:
        answer = ask(ingress, world.token, str(uuid.uuid4()))
        taken = post(ingress, world.token)
        refused = ingress.metric('eventsapi_events_refused_total{code="unavailable"}')

    assert code(answer) == (503, "unavailable")
    assert "ClickHouse" in answer.json()["message"]
    assert "127.0.0.1" not in answer.text
    assert answer.headers["Retry-After"]
    assert taken.status_code == 200
    assert refused == 0
    assert "hunter2" not in ingress.log.read_text("utf-8")


async def test_receipt_when_kafka_comes_back(world: World, tmp_path: Path) -> None:
    """While Kafka is away the refusal names it; once it is there, the same process answers again."""
    node = kafka_node(tmp_path / "kafka")
    kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
    with running_ingress(kafka, world.accounts_url, tmp_path, wait=False) as ingress:
        ingress.wait_until_listening()
        wait_until(lambda: "Kafka" in ask(ingress, world.token, str(uuid.uuid4())).text, "tokens are loaded")
        away = ask(ingress, world.token, str(uuid.uuid4()))
        with running_kafka(node):
            await create_topics(kafka, 1)
            wait_until(ingress.is_ready, "the ingress has reached Kafka")
            event_id = post(ingress, world.token).json()["id"]
            there = ask(ingress, world.token, event_id)

    assert code(away) == (503, "unavailable")
    assert there.json()["state"] == "accepted"


def test_refusal_when_asked_too_often(world: World) -> None:
    """A token that asks too often is told when to come back; others, and events, are not touched."""
    with ingress_with(world, ingress_receipts_per_second=0.1) as ingress:
        once = ask(ingress, world.token, str(uuid.uuid4()))
        again = ask(ingress, world.token, str(uuid.uuid4()))
        other = ask(ingress, world.other_token, str(uuid.uuid4()))
        taken = post(ingress, world.token)

    assert (once.status_code, other.status_code, taken.status_code) == (404, 404, 200)
    assert code(again) == (429, "rate_limited")
    assert 1 <= int(again.headers["Retry-After"]) <= 10


@contextmanager
def ingress_with(world: World, **changed: object) -> Iterator[Ingress]:
    """One more ingress of the same pipeline, with other settings; None for one that is not set."""
    settings: dict[str, Any] = {
        "clickhouse_url": world.clickhouse.clickhouse_url.get_secret_value(),
        "clickhouse_database": world.clickhouse.clickhouse_database,
        "ingress_receipts_per_second": OFTEN,
        **changed,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    with running_ingress(world.kafka, world.accounts_url, world.folder, **given) as ingress:
        yield ingress
