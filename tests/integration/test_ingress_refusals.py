"""Everything that a client can send wrong is refused with its code, in one shape, and nothing of it reaches Kafka."""

import gzip
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
import requests

from deploy.topics import create_topics
from ingress.accounts.store import open_accounts
from schemas.errors import ErrorCode
from schemas.settings import KafkaSettings
from tests.accounts import ACTOR
from tests.ingress import Ingress, make_accounts, raw_records, running_ingress

GOOD = b'{"version":1,"type":"event","event":"refused"}'
BODY_TIMEOUT_SECONDS = 1
LIMIT = 32 << 10


class World(NamedTuple):
    """An ingress and what it knows."""

    ingress: Ingress
    kafka: KafkaSettings
    token: str
    disabled_token: str

    def head(self, *lines: bytes, token: bool = True, content_type: bool = True) -> bytes:
        """The head of a POST of GOOD, as it goes over the wire, with more lines in it."""
        common = [b"POST /v1/event HTTP/1.1", b"Host: a"]
        common += [b"X-Auth-Token: " + self.token.encode()] * token
        common += [b"Content-Type: application/json"] * content_type
        return b"\r\n".join([*common, *lines, b"", b""])


@pytest.fixture(scope="module")
async def world(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One ingress for all tests of this file."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, 2)
    folder = tmp_path_factory.mktemp("ingress")
    url, token = await make_accounts(folder)
    async with open_accounts(url) as accounts:
        await accounts.create_team("closed", datetime.now(UTC), ACTOR)
        disabled_token, _ = await accounts.create_token("closed", "", datetime.now(UTC), ACTOR)
        await accounts.enable_team("closed", datetime.now(UTC), ACTOR, enabled=False)
    with running_ingress(kafka, url, folder, ingress_body_timeout_seconds=BODY_TIMEOUT_SECONDS) as ingress:
        yield World(ingress, kafka, token, disabled_token)


def assert_refused(answer: requests.Response, code: ErrorCode, field: str | None = None) -> None:
    """The answer is this refusal, in the shape that all have."""
    refusal = answer.json()
    assert (answer.status_code, refusal["code"], refusal.get("field")) == (code.status, code, field)
    assert refusal["success"] is False
    assert refusal["message"]
    assert refusal["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        pytest.param(b"", ErrorCode.INVALID_JSON, None, id="empty"),
        pytest.param(GOOD[:-1], ErrorCode.INVALID_JSON, None, id="bad JSON"),
        pytest.param(b"\xff" + GOOD, ErrorCode.INVALID_JSON, None, id="bad UTF-8"),
        pytest.param(GOOD.decode().encode("utf-16"), ErrorCode.INVALID_JSON, None, id="UTF-16"),
        pytest.param(b"[" * 10_000, ErrorCode.WRONG_TYPE, None, id="array"),
        pytest.param(GOOD[:-1] + b',"x":' + b"[" * 10_000, ErrorCode.TOO_DEEP, None, id="too deep"),
        pytest.param(b'{"type":"event","event":"x"}', ErrorCode.MISSING_MEMBER, "version", id="no version"),
        pytest.param(b'{"version":1,"event":"x"}', ErrorCode.MISSING_MEMBER, "type", id="no type"),
        pytest.param(b'{"version":1,"type":"event"}', ErrorCode.MISSING_MEMBER, "event", id="no event"),
        pytest.param(b'{"version":"1","type":"event","event":"x"}', ErrorCode.WRONG_TYPE, "version", id="text version"),
        pytest.param(b'{"version":2,"type":"event","event":"x"}', ErrorCode.INVALID_VALUE, "version", id="version 2"),
        pytest.param(b'{"version":1,"type":"track","event":"x"}', ErrorCode.INVALID_VALUE, "type", id="other type"),
        pytest.param(b'{"version":1,"type":"event","event":""}', ErrorCode.INVALID_VALUE, "event", id="empty event"),
        pytest.param(GOOD[:-1] + b',"properties":[]}', ErrorCode.WRONG_TYPE, "properties", id="array properties"),
        pytest.param(GOOD[:-1] + b',"timestamp":5}', ErrorCode.WRONG_TYPE, "timestamp", id="number timestamp"),
        pytest.param(GOOD[:-1] + b',"timestamp":"5"}', ErrorCode.INVALID_TIMESTAMP, "timestamp", id="bad timestamp"),
        pytest.param(GOOD[:-1] + b',"userId":{}}', ErrorCode.WRONG_TYPE, "userId", id="object user"),
        pytest.param(GOOD + b" " * LIMIT, ErrorCode.TOO_LARGE, None, id="too large"),
    ],
)
def test_refusal_when_event_is_bad(world: World, body: bytes, code: ErrorCode, field: str | None) -> None:
    """A bad event is refused with the code of its fault and the member to mend."""
    assert_refused(world.ingress.post(world.token, body), code, field)


@pytest.mark.parametrize("token", ["evt_nobodys", "x", "\u00e9", "'; --", "evt_" + "0" * 5000])
def test_refusal_when_token_is_unknown(world: World, token: str) -> None:
    """A token that nobody made is 401."""
    assert_refused(world.ingress.post(token.encode("latin-1").decode("latin-1"), GOOD), ErrorCode.UNKNOWN_TOKEN)


def test_refusal_when_team_is_disabled(world: World) -> None:
    """The token of a team whose Events API is off is 403."""
    assert_refused(world.ingress.post(world.disabled_token, GOOD), ErrorCode.TEAM_DISABLED)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-Auth-Token": None}, ErrorCode.MISSING_TOKEN),
        ({"X-Auth-Token": ""}, ErrorCode.MISSING_TOKEN),
        ({"Content-Type": None}, ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        ({"Content-Type": "text/html"}, ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        ({"Content-Type": "application/json; charset=utf-16"}, ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        ({"Content-Type": "application/json; charset=rot13"}, ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        ({"Content-Encoding": "br"}, ErrorCode.UNSUPPORTED_ENCODING),
        ({"Content-Encoding": "gzip, gzip"}, ErrorCode.UNSUPPORTED_ENCODING),
        ({"Content-Encoding": "gzip"}, ErrorCode.BAD_REQUEST),
        ({"Content-Encoding": "zstd"}, ErrorCode.BAD_REQUEST),
        ({"Expect": "a miracle"}, ErrorCode.BAD_REQUEST),
    ],
)
def test_refusal_when_header_is_bad(world: World, headers: dict[str, str | None], code: ErrorCode) -> None:
    """A good event under a bad header is refused with the code of that header."""
    good: dict[str, str | None] = {"X-Auth-Token": world.token, "Content-Type": "application/json"}

    assert_refused(requests.post(world.ingress.url, GOOD, headers=good | headers, timeout=10), code)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
def test_content_type_when_spelled_otherwise(world: World, content_type: str) -> None:
    """The same content type in other words is taken."""
    taken = GOOD.replace(b"refused", b"taken")
    headers = {"X-Auth-Token": world.token, "Content-Type": content_type}

    assert requests.post(world.ingress.url, taken, headers=headers, timeout=10).ok


def test_refusal_when_bomb(world: World) -> None:
    """A small body that is huge when decompressed is 413."""
    bomb = gzip.compress(bytes(20_000_000))

    assert_refused(world.ingress.post(world.token, bomb, content_encoding="gzip"), ErrorCode.TOO_LARGE)


def test_body_when_exactly_at_the_limit(world: World) -> None:
    """The limit itself is allowed."""
    taken = GOOD.replace(b"refused", b"taken")

    assert world.ingress.post(world.token, taken.ljust(LIMIT)).ok
    assert_refused(world.ingress.post(world.token, taken.ljust(LIMIT + 1)), ErrorCode.TOO_LARGE)


@pytest.mark.parametrize(
    ("method", "path", "code", "allow"),
    [
        ("GET", "/v1/event", ErrorCode.METHOD_NOT_ALLOWED, "POST, OPTIONS"),
        ("OPTIONS", "/livez", ErrorCode.METHOD_NOT_ALLOWED, "GET, HEAD"),
        ("POST", "/livez", ErrorCode.METHOD_NOT_ALLOWED, "GET, HEAD"),
        ("POST", "/", ErrorCode.NOT_FOUND, None),
        ("POST", "/v1/event/", ErrorCode.NOT_FOUND, None),
        ("POST", "/v1/event%0a", ErrorCode.NOT_FOUND, None),
        ("GET", "/metrics", ErrorCode.NOT_FOUND, None),
    ],
)
def test_refusal_when_no_such_route(world: World, method: str, path: str, code: ErrorCode, allow: str | None) -> None:
    """Another path or method is refused in the same shape, and 405 says what is allowed."""
    answer = requests.request(method, f"http://127.0.0.1:{world.ingress.port}{path}", timeout=10)

    assert_refused(answer, code)
    assert answer.headers.get("Allow") == allow


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([b"Content-Length: 46", b"Transfer-Encoding: chunked"], GOOD),
        ([b"Content-Length: 46", b"Content-Length: 5"], GOOD),
        ([b"Content-Length: 46", b"Host: b"], GOOD),
        ([b"Content-Length: 46", b"Content-Type: text/html"], GOOD),
        ([b"Content-Length: -1"], GOOD),
        ([b"Content-Length: " + b"9" * 30], GOOD),
        ([b"Content-Length: 46", b"A: " + b"a" * 9000], GOOD),
        ([b"Content-Length: 46", *[b"A%d: a" % number for number in range(200)]], GOOD),
        ([b"Content-Length: 46", b"A: a\x00b"], GOOD),
        ([b"Content-Length: 46", b"A: a", b" folded"], GOOD),
        ([b"Transfer-Encoding: chunked"], b"zz\r\nabc\r\n"),
        ([b"Transfer-Encoding: chunked"], b"5\r\nabcdefghi\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: foo"], GOOD),
    ],
    ids=lambda value: value[-1][:24].decode(errors="replace") if isinstance(value, list) else "",
)
def test_refusal_when_http_is_malformed(world: World, lines: list[bytes], body: bytes) -> None:
    """Malformed HTTP is 400 in our shape, closes the connection, and nothing of it is repeated."""
    received = world.ingress.exchange(world.head(*lines) + body)

    head, _, refusal = received.partition(b"\r\n\r\n")
    assert head.split()[1] == b"400"
    assert b'"code":"bad_request"' in refusal
    assert b"Connection: close" in head or head.startswith(b"HTTP/1.0")
    assert world.token.encode() not in received


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/event HTTP/1.1\nHost: a\n\n",
        b"post /v1/event HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://[/v1/event HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/event HTTP/9.9\r\nHost: a\r\n\r\n",
        b"POST /v1/event HTTP/1.1\r\n\r\n",
        b"CONNECT a.b:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/event HTTP/1.1\r\nHost: a\r\nExpect: \xff\r\nX-Auth-Token: \xff\r\nCookie: \xff=;\r\n\r\n",
        b"POST /v1/event HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_refusal_when_not_our_protocol(world: World, sent: bytes) -> None:
    """Whatever else comes over the wire is refused in our shape with a 4xx, never a 500."""
    received = world.ingress.exchange(sent)

    assert received.split()[1][:1] == b"4"
    assert b'{"success":false' in received


def test_refusal_when_two_tokens(world: World) -> None:
    """Two tokens are refused, since a proxy might have checked the other one."""
    received = world.ingress.exchange(world.head(b"X-Auth-Token: other", b"Content-Length: 46") + GOOD)

    assert b" 401 " in received
    assert b"missing_token" in received


@pytest.mark.parametrize(
    ("line", "body"),
    [(b"Content-Length: 46", GOOD[:5]), (b"Content-Length: 46", b""), (b"Transfer-Encoding: chunked", b"2e\r\n{")],
)
def test_refusal_when_body_is_slow(world: World, line: bytes, body: bytes) -> None:
    """A body that does not arrive in time is 408, and the connection is closed."""
    started = time.monotonic()

    received = world.ingress.exchange(world.head(line) + body)

    assert b" 408 " in received
    assert b"slow_body" in received
    assert b"Connection: close" in received
    assert BODY_TIMEOUT_SECONDS <= time.monotonic() - started < BODY_TIMEOUT_SECONDS + 5


@pytest.mark.parametrize(
    ("lines", "token", "status"),
    [
        ([b"Content-Length: 99999999"], True, b"413"),
        ([b"Content-Length: 46"], False, b"401"),
        ([b"Content-Length: 46", b"Content-Encoding: br"], True, b"415"),
    ],
)
def test_refusal_when_client_expects_to_be_asked(
    world: World, lines: list[bytes], status: bytes, *, token: bool
) -> None:
    """A body that would be refused is not asked for: the answer is the refusal, not 100."""
    received = world.ingress.exchange(world.head(b"Expect: 100-continue", *lines, token=token))

    assert received.split()[1] == status
    assert b"Connection: close" in received


def test_body_when_client_expects_to_be_asked(world: World) -> None:
    """A body that is welcome is asked for, and taken."""
    taken = GOOD.replace(b"refused", b"taken")

    received = world.ingress.exchange(world.head(b"Expect: 100-continue", b"Content-Length: %d" % len(taken)) + taken)

    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")


def test_request_id_when_given(world: World) -> None:
    """A plain request id of a proxy is kept; one that is not plain is replaced."""
    url = f"http://127.0.0.1:{world.ingress.port}/livez"

    assert requests.get(url, headers={"X-Request-Id": "abc-1"}, timeout=10).headers["X-Request-Id"] == "abc-1"
    assert requests.get(url, headers={"X-Request-Id": "a b"}, timeout=10).headers["X-Request-Id"] != "a b"


async def test_topic_when_everything_was_refused(world: World) -> None:
    """Of all that was refused here, nothing is in Kafka; what was accepted beside it is."""
    accepted = world.ingress.post(world.token, GOOD.replace(b"refused", b"taken")).json()["id"]
    assert_refused(world.ingress.post(world.disabled_token, GOOD), ErrorCode.TEAM_DISABLED)

    records = await raw_records(world.kafka)

    assert accepted in {record.event_id for record in records}
    assert [record.value for record in records if b"taken" not in record.value] == []
    assert b"Traceback" not in world.ingress.log.read_bytes()
