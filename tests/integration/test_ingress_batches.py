"""Batches and the Segment family's calls, through a real ingress into a real raw topic."""

import gzip
import json
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import requests
from backports import zstd

from deploy.topics import create_topics
from schemas.errors import ErrorCode
from schemas.settings import KafkaSettings
from tests.ingress import Ingress, Raw, make_accounts, raw_records, running_ingress

MAX_EVENTS = 50


class World(NamedTuple):
    """An ingress and what it knows."""

    ingress: Ingress
    kafka: KafkaSettings
    token: str

    def post(self, path: str, body: bytes, **headers: str) -> requests.Response:
        """Post to a path, with these headers only."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(f"{self.ingress.base_url}{path}", body, headers=named, timeout=30)

    def batch(self, *events: bytes, **headers: str) -> dict[str, Any]:
        """What a JSON batch of these events is answered with 200."""
        answer = self.post("/v1/batch", b'{"batch":[' + b", ".join(events) + b"]}", X_Auth_Token=self.token, **headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def raw(self, event_id: str) -> Raw:
        """The one raw record of this event."""
        (record,) = [record for record in await raw_records(self.kafka) if record.event_id == event_id]
        return record


@pytest.fixture(scope="module")
async def world(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One ingress for all tests of this file."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, 4)
    folder = tmp_path_factory.mktemp("ingress")
    url, token = await make_accounts(folder)
    with running_ingress(kafka, url, folder, ingress_max_batch_events=MAX_EVENTS) as ingress:
        yield World(ingress, kafka, token)


def event(**members: object) -> bytes:
    """An event of ours."""
    return json.dumps({"version": 1, "type": "event", "event": "x"} | members).encode()


async def test_batch_when_some_events_are_bad(world: World) -> None:
    """The good ones are in the raw topic as exact slices; each has its result, and the bad ones say what to mend."""
    first = b'{ "version":1,"type":"event","event":"x", "properties":{"price":  39.950}}'

    answer = world.batch(first, event(event=7), b"{}", event(id="own"))

    assert answer["success"] is False
    assert [result["status"] for result in answer["results"]] == ["accepted", "rejected", "rejected", "accepted"]
    assert answer["results"][1] | {"message": ""} == {
        "index": 1,
        "status": "rejected",
        "code": "wrong_type",
        "field": "event",
        "message": "",
    }
    assert (await world.raw(answer["results"][0]["id"])).value == first


@pytest.mark.parametrize("count", [0, 1, MAX_EVENTS])
async def test_batch_when_all_is_well(world: World, count: int) -> None:
    """All are acknowledged, in the order of the batch, and are in the raw topic."""
    answer = world.batch(*(event(userId=f"u{number}") for number in range(count)))

    ids = [result["id"] for result in answer["results"]]
    assert answer["success"] is True
    assert len(set(ids)) == count
    assert set(ids) <= {record.event_id for record in await raw_records(world.kafka)}


async def test_events_of_a_user_when_in_one_batch(world: World) -> None:
    """They keep their order in the raw topic."""
    answer = world.batch(*(event(userId="ordered", properties={"n": number}) for number in range(MAX_EVENTS)))

    ids = [result["id"] for result in answer["results"]]
    assert [record.event_id for record in await raw_records(world.kafka) if record.event_id in set(ids)] == ids


async def test_batch_when_ndjson(world: World) -> None:
    """One event a line; a result's index is its line."""
    lines = b"\n".join([event(), b"", b"nonsense", event(), b""])

    answer = world.post("/v1/batch", lines, X_Auth_Token=world.token, Content_Type="application/x-ndjson").json()

    found = [(result["index"], result["status"]) for result in answer["results"]]
    assert found == [(0, "accepted"), (2, "rejected"), (3, "accepted")]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_batch_when_compressed(world: World, encoding: str) -> None:
    """The limit of a batch holds for the plain body, and small ones come as they are."""
    body = b'{"batch":[%b]}' % event()
    packed = gzip.compress(body) if encoding == "gzip" else zstd.compress(body)

    answer = world.post("/v1/batch", packed, X_Auth_Token=world.token, Content_Encoding=encoding)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b'{"batch":[%b]}' % b",".join([event()] * (MAX_EVENTS + 1)), {}, ErrorCode.TOO_MANY_EVENTS),
        (b'{"batch":[{}]}', {}, ErrorCode.MISSING_MEMBER),
        (b"{}", {}, ErrorCode.WRONG_TYPE),
        (b'{"batch":[{"a":"' + b"x" * (1 << 20) + b'"}]}', {}, ErrorCode.TOO_LARGE),
        (gzip.compress(b" " * (1 << 21)), {"Content_Encoding": "gzip"}, ErrorCode.TOO_LARGE),
        (b"{", {}, ErrorCode.INVALID_JSON),
        (b"{", {"Content_Type": "application/json; charset=utf-16"}, ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        (b"{", {"Content_Encoding": "br"}, ErrorCode.UNSUPPORTED_ENCODING),
    ],
)
async def test_batch_when_refused_as_a_whole(
    world: World, body: bytes, headers: dict[str, str], code: ErrorCode
) -> None:
    """What nothing can be accepted of is refused with the code of its fault."""
    answer = world.post("/v1/batch", body, X_Auth_Token=world.token, **headers)

    assert (answer.status_code, answer.json()["code"]) == (code.status, code)


def basic(token: str) -> str:
    """The token as user of Basic authentication, without a password."""
    return "Basic " + b64encode(f"{token}:".encode()).decode()


TRACK = {"userId": "u1", "event": "Bought", "messageId": "m1", "properties": {"price": "39.95"}}


@pytest.mark.parametrize("form", ["X_Auth_Token", "Basic", "Bearer", "body"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/t", "/v1/batch", "/v1/b"])
async def test_call_when_token_in_any_form(world: World, form: str, path: str) -> None:
    """Every way in which the family sends its token is read, whatever the Content-Type, and the token is not kept."""
    message_id = uuid.uuid4().hex
    call = TRACK | {"messageId": message_id}
    body: dict[str, object] = {"batch": [call | {"type": "track"}]} if "b" in path else dict(call)
    headers = {"Content_Type": "text/plain"}
    if form == "body":
        body["writeKey"] = world.token
    else:
        name = form if form == "X_Auth_Token" else "Authorization"
        headers[name] = {"Basic": basic(world.token), "Bearer": f"Bearer {world.token}"}.get(form, world.token)

    answer = world.post(path, json.dumps(body).encode(), **headers)

    assert answer.status_code == 200, answer.text
    (record,) = [r for r in await raw_records(world.kafka) if message_id.encode() in r.value]
    assert record.headers["format"] == b"segment.v1"
    assert record.headers["kind"] == b"track"
    assert world.token.encode() not in record.value


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Digest x"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x", "X_Auth_Token": "x"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/event", "/v1/batch", "/v1/track"])
async def test_request_when_without_one_token(world: World, headers: dict[str, str], path: str) -> None:
    """No token, one that cannot be read, and two are refused with 401 and words for it."""
    answer = world.post(path, b"{}", Content_Type="application/json", **headers)

    assert (answer.status_code, answer.json()["code"]) == (401, ErrorCode.MISSING_TOKEN)


@pytest.mark.parametrize("body", [b'{"writeKey":"nobody"}', b'{"batch":[],"writeKey":"evt_nobody"}'])
@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track"])
async def test_request_when_token_in_body_is_unknown(world: World, path: str, body: bytes) -> None:
    """It is refused like one in the head."""
    answer = world.post(path, body)

    assert (answer.status_code, answer.json()["code"]) == (401, ErrorCode.UNKNOWN_TOKEN)


@pytest.mark.parametrize(
    ("sent_at", "kept"),
    [
        ("2026-11-24T05:00:00.123Z", b"2026-11-24T05:00:00.123000+00:00"),
        ("just now", None),
        ("0001-01-01T00:00:00Z", None),
    ],
)
async def test_sent_at_when_the_client_tells(world: World, sent_at: str, kept: bytes | None) -> None:
    """It goes on as a header where it is a time; where it is none, nothing else depends on it."""
    body = {"batch": [{"type": "identify", "userId": "u", "messageId": uuid.uuid4().hex}], "sentAt": sent_at}

    answer = world.post("/v1/batch", json.dumps(body).encode(), X_Auth_Token=world.token)

    record = await world.raw(answer.json()["results"][0]["id"])
    assert record.headers.get("sent_at") == kept


@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen", "group", "alias"])
async def test_call_when_refused(world: World, kind: str) -> None:
    """A call that can never be accepted is refused with code and message as strings, which old clients need."""
    answer = world.post(f"/v1/{kind}", b'{"userId": [], "event": "x"}', X_Auth_Token=world.token)

    refusal = answer.json()
    assert (answer.status_code, refusal["code"], refusal["field"]) == (400, ErrorCode.WRONG_TYPE, "userId")
    assert refusal["message"]
