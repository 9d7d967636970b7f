"""What was accepted is in the raw topic, as the published contract says."""

import asyncio
import gzip
import json
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import aiohttp
import pytest
from backports import zstd

from deploy.topics import create_topics
from ingress.sticky import STICKY_SECONDS
from schemas.settings import KafkaSettings
from schemas.topics import partition_for
from tests.ingress import TEAM, Ingress, Raw, make_accounts, raw_records, running_ingress
from tests.services import PARTITIONS


class World(NamedTuple):
    """An ingress and what it knows."""

    ingress: Ingress
    kafka: KafkaSettings
    token: str

    async def record(self, event_id: str) -> Raw:
        """The one record of an event."""
        (found,) = [record for record in await raw_records(self.kafka) if record.event_id == event_id]
        return found


@pytest.fixture(scope="module")
async def world(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One ingress for all tests of this file."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, PARTITIONS)
    folder = tmp_path_factory.mktemp("ingress")
    url, token = await make_accounts(folder)
    with running_ingress(kafka, url, folder) as ingress:
        yield World(ingress, kafka, token)


async def test_record_when_accepted(world: World) -> None:
    """The answer is the event's id, and the record is the body byte for byte under the contract's headers."""
    body = '{ "version":1,"type":"event",\n "event":"é","more":[1e2],"properties":{"price":39.950,"a":1}}\t'.encode()
    before = datetime.now(UTC)

    answer = world.ingress.post(world.token, body)

    assert answer.status_code == 200
    assert answer.json() == {"success": True, "id": answer.json()["id"]}
    record = await world.record(answer.json()["id"])
    assert record.value == body
    assert record.key == f"{TEAM}/{record.event_id}".encode()
    assert record.partition == partition_for(record.key, PARTITIONS)
    assert list(record.headers) == ["event_id", "team", "token_id", "format", "received_at"]
    assert record.headers["team"] == TEAM.encode()
    assert record.headers["token_id"].startswith(b"tok_")
    assert record.headers["format"] == b"event.v1"
    received_at = datetime.fromisoformat(record.headers["received_at"].decode())
    assert before - timedelta(milliseconds=1) <= received_at <= datetime.now(UTC)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "zstd"])
async def test_record_when_compressed(world: World, encoding: str) -> None:
    """A compressed body is in Kafka without its compression."""
    body = json.dumps({"version": 1, "type": "event", "event": encoding, "properties": {"text": "x" * 20_000}}).encode()
    compressors: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstd.compress,
        "identity": bytes,
    }

    answer = world.ingress.post(world.token, compressors[encoding](body), content_encoding=encoding)

    assert (await world.record(answer.json()["id"])).value == body


async def test_record_when_chunked_and_traced(world: World) -> None:
    """A body of unknown length arrives whole, and its trace goes on in the record."""
    body = b'{"version":1,"type":"event","event":"chunked"}'
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    answer = world.ingress.post(world.token, iter([body[:7], body[7:]]), traceparent=trace)

    record = await world.record(answer.json()["id"])
    assert record.value == body
    assert record.headers["traceparent"] == trace.encode()


async def test_event_id_when_sent_again(world: World) -> None:
    """An event that is sent again with its own id has the same event id and lies in the same partition."""
    body = b'{"version":1,"type":"event","event":"again","id":"order-1"}'

    first, second = (world.ingress.post(world.token, body).json()["id"] for _ in range(2))

    assert first == second
    sent = [record for record in await raw_records(world.kafka) if record.event_id == first]
    assert len(sent) == 2
    assert len({record.partition for record in sent}) == 1


async def test_order_when_users_send_one_after_the_other(world: World) -> None:
    """Each user's events lie in one partition in the order of their answers, however many users send at once."""
    users, events = 16, 40
    headers = {"X-Auth-Token": world.token, "Content-Type": "application/json"}

    async def send(session: aiohttp.ClientSession, user: int) -> None:
        for number in range(events):
            body = {"version": 1, "type": "event", "event": "step", "userId": f"u{user}", "n": number}
            async with session.post(world.ingress.url, data=json.dumps(body)) as answer:
                assert answer.status == 200

    async with aiohttp.ClientSession(headers=headers) as session:
        await asyncio.gather(*(send(session, user) for user in range(users)))

    steps = [record for record in await raw_records(world.kafka) if b'"step"' in record.value]
    for user in range(users):
        mine = [record for record in steps if record.key == f"{TEAM}/u{user}".encode()]
        assert len({record.partition for record in mine}) == 1
        assert [json.loads(record.value)["n"] for record in mine] == list(range(events))


async def test_partitions_when_users_are_unknown(world: World) -> None:
    """Events of nobody in particular share a partition for a while, so that they share a batch, and then another."""
    headers = {"X-Auth-Token": world.token, "Content-Type": "application/json"}
    body = json.dumps({"version": 1, "type": "event", "event": "anywhere"})

    async def send(session: aiohttp.ClientSession) -> None:
        async with session.post(world.ingress.url, data=body) as answer:
            assert answer.status == 200

    async with aiohttp.ClientSession(headers=headers) as session:
        enough = time.monotonic() + 2 * PARTITIONS * STICKY_SECONDS
        while time.monotonic() < enough:
            await asyncio.gather(*(send(session) for _ in range(20)))

    sent = [record for record in await raw_records(world.kafka) if b'"anywhere"' in record.value]
    sent.sort(key=lambda record: record.headers["received_at"])
    began, ended = (datetime.fromisoformat(sent[at].headers["received_at"].decode()) for at in (0, -1))
    assert {record.partition for record in sent} == set(range(PARTITIONS))
    assert sum(one.partition != other.partition for one, other in pairwise(sent)) <= (
        2 + (ended - began).total_seconds() / STICKY_SECONDS
    )


async def test_metrics_when_counted(world: World) -> None:
    """The count of accepted events is the number of records in the topic."""
    world.ingress.post(world.token)

    assert world.ingress.metric("eventsapi_events_accepted_total") == len(await raw_records(world.kafka))
    assert world.ingress.metric("eventsapi_producer_pending_bytes") == 0
