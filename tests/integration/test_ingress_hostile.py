"""Hostile input on the routes that take batches and other formats: refused in our shape, and no more than that."""

import gzip
import json
import socket
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.topics import create_topics
from schemas.errors import ErrorCode
from schemas.settings import KafkaSettings
from tests.ingress import Ingress, make_accounts, raw_records, running_ingress

PATHS = ["/v1/event", "/v1/batch", "/v1/b", "/v1/track", "/v1/i", "/v1/page"]
GOOD = b'{"version":1,"type":"event","event":"x"}'
TRACK = b'{"type":"track","event":"x"}'
LIMIT = 1 << 20
BODY_TIMEOUT_SECONDS = 1
GROWTH_BYTES = 24 << 20


class World(NamedTuple):
    """An ingress and what it knows."""

    ingress: Ingress
    kafka: KafkaSettings
    token: str

    def post(self, path: str, body: bytes, **headers: str) -> requests.Response:
        """Post to a path with the token."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        common = {"X-Auth-Token": self.token, "Content-Type": "application/json"}
        return requests.post(f"{self.ingress.base_url}{path}", body, headers=common | named, timeout=30)

    def head(self, path: str, *lines: bytes) -> bytes:
        """The head of a POST with the token, as it goes over the wire, with more lines in it."""
        common = [b"POST %b HTTP/1.1" % path.encode(), b"Host: a", b"Content-Type: application/json"]
        return b"\r\n".join([*common, b"X-Auth-Token: " + self.token.encode(), *lines, b"", b""])


@pytest.fixture(scope="module")
async def world(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One ingress for all tests of this file; at its end it must be alive, and have no error in its log."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, 2)
    folder = tmp_path_factory.mktemp("ingress")
    url, token = await make_accounts(folder)
    with running_ingress(kafka, url, folder, ingress_body_timeout_seconds=BODY_TIMEOUT_SECONDS) as ingress:
        yield World(ingress, kafka, token)
        assert ingress.running.poll() is None
        assert b"Traceback" not in ingress.log.read_bytes()


def is_refusal(received: bytes) -> bool:
    """Whether bytes off the wire are a 4xx in our shape."""
    head, _, body = received.partition(b"\r\n\r\n")
    refusal = json.loads(body)
    strings = all(isinstance(refusal[name], str) for name in ("code", "message", "request_id"))
    return head.split()[1][:1] == b"4" and strings and refusal["success"] is False


WIRE = [
    ([b"Content-Length: 40", b"Transfer-Encoding: chunked"], GOOD),
    ([b"Content-Length: 40", b"Content-Length: 5"], GOOD),
    ([b"Content-Length: 40", b"Content-Length: 40"], GOOD),
    ([b"Content-Length: 40", b"Host: b"], GOOD),
    ([b"Content-Length: +40"], GOOD),
    ([b"Content-Length: 0x28"], GOOD),
    ([b"Transfer-Encoding: chunked, identity"], GOOD),
    ([b"Transfer-Encoding : chunked"], b"0\r\n\r\n"),
    ([b"Transfer-Encoding: \x0bchunked"], b"0\r\n\r\n"),
    ([b"Transfer-Encoding: chunked"], b"-1\r\n\r\n"),
    ([b"Transfer-Encoding: chunked"], b"ffffffffffffffffff\r\nx"),
    ([b"Transfer-Encoding: chunked"], b"2\nab\n0\n\n"),
    ([b"Content-Length: 40", b"X-Auth-Token: other"], GOOD),
    ([b"Content-Length: 40", b"Authorization: Bearer other"], GOOD),
    ([b"Content-Length: 40", b"Authorization: Basic " + b64encode(b"a:"), b"Authorization: Bearer b"], GOOD),
    ([b"Content-Length: 40", b"Content-Encoding: gzip", b"Content-Encoding: gzip"], GOOD),
    ([b"Content-Length: 40", b"Content-Encoding: gzip;q=1"], GOOD),
    ([b"Content-Length: 40", b"Content-Encoding: bogus"], GOOD),
]


@pytest.mark.parametrize(("lines", "body"), WIRE, ids=lambda value: str(value)[:60] if isinstance(value, list) else "")
@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track"])
def test_refusal_when_bytes_are_hostile(world: World, path: str, lines: list[bytes], body: bytes) -> None:
    """Smuggling, bogus lengths and codings, and several tokens are a 4xx in our shape, without the token."""
    received = world.ingress.exchange(world.head(path, *lines) + body)

    assert is_refusal(received)
    assert world.token.encode() not in received


@pytest.mark.parametrize("charset", ["utf-16", "rot13", "bogus", "\x7f"])
@pytest.mark.parametrize("path", ["/v1/event", "/v1/batch"])
def test_refusal_when_charset_is_bogus(world: World, path: str, charset: str) -> None:
    """A charset other than UTF-8 is 415, whatever Python has a codec for."""
    answer = world.post(path, GOOD, Content_Type=f"application/json; charset={charset}")

    assert answer.status_code in {400, 415}
    assert answer.json()["code"] in {ErrorCode.UNSUPPORTED_MEDIA_TYPE, ErrorCode.BAD_REQUEST}


BOMBS = [
    (gzip.compress(b" " * 50_000_000), "gzip", ErrorCode.TOO_LARGE),
    (gzip.compress(gzip.compress(b" " * 50_000_000)), "gzip", ErrorCode.INVALID_JSON),
    (gzip.compress(b"") * 40_000, "gzip", ErrorCode.BAD_REQUEST),
    (gzip.compress(b" " * 20_000) * 60, "gzip", ErrorCode.TOO_LARGE),
    (zstd.compress(b" " * 50_000_000), "zstd", ErrorCode.TOO_LARGE),
    (zstd.compress(b"") * 50_000, "zstd", ErrorCode.BAD_REQUEST),
    (b"x" * (LIMIT + 1), "identity", ErrorCode.TOO_LARGE),
]


@pytest.mark.parametrize(("bomb", "encoding", "code"), BOMBS, ids=lambda value: str(value)[:16])
def test_refusal_when_bomb(world: World, bomb: bytes, encoding: str, code: ErrorCode) -> None:
    """What is small as sent and huge as meant, or costs more than its size, is refused on the batch route too."""
    answer = world.post("/v1/batch", bomb, Content_Encoding=encoding)

    assert (answer.status_code, answer.json()["code"]) == (code.status, code)


DEEP = b'{"version":1,"type":"event","event":"x","properties":{"a":%b}}' % (b"[" * 100_000 + b"]" * 100_000)
BAD_ITEMS = [
    (DEEP, ErrorCode.TOO_LARGE),
    (GOOD[:-1] + b',"properties":{"a":%b}}' % (b"[" * 5_000 + b"]" * 5_000), ErrorCode.TOO_DEEP),
    (GOOD[:-1] + b',"more":%b}' % (b'{"a":' * 900 + b"1" + b"}" * 900), ErrorCode.TOO_DEEP),
    (GOOD[:-1] + b',"properties":{"a":%b}}' % (b"9" * 5_000), ErrorCode.INVALID_VALUE),
    (GOOD[:-1] + b',"properties":{"a":1e400}}', ErrorCode.INVALID_VALUE),
    (GOOD[:-1] + b',"properties":{"a":NaN}}', ErrorCode.INVALID_JSON),
    (GOOD[:-1] + b',"properties":{"a":-Infinity}}', ErrorCode.INVALID_JSON),
    (GOOD[:-1] + b',"properties":{"a":"\\ud800"}}', ErrorCode.INVALID_JSON),
    (GOOD[:-1] + b',"properties":{"a":"\xed\xa0\x80"}}', ErrorCode.INVALID_JSON),
    (GOOD[:-1] + b',"properties":{"a":"\x00"}}', ErrorCode.INVALID_JSON),
    (GOOD[:-1] + b',"properties":{"a":01}}', ErrorCode.INVALID_JSON),
    (GOOD[:-1] + b',"userId":%b}' % (b"9" * 5_000), ErrorCode.INVALID_VALUE),
    (b'{"type":"track","event":"x","userId":%b}' % (b"9" * 5_000), ErrorCode.INVALID_VALUE),
    (b'{"type":"track","event":"x","userId":1.5}', ErrorCode.WRONG_TYPE),
    (b'{"type":"track","type":"event","event":"x"}', ErrorCode.INVALID_VALUE),
    (b"\xef\xbb\xbf" + GOOD, ErrorCode.INVALID_JSON),
    (b"[" * 100 + b"]" * 100, ErrorCode.WRONG_TYPE),
    (b"null", ErrorCode.WRONG_TYPE),
    (b'"' + b"x" * 40_000 + b'"', ErrorCode.TOO_LARGE),
]


@pytest.mark.parametrize(("bad", "code"), BAD_ITEMS, ids=lambda value: str(value[-50:]))
@pytest.mark.parametrize("form", ["json", "ndjson"])
async def test_batch_when_one_event_is_hostile(world: World, form: str, bad: bytes, code: ErrorCode) -> None:
    """It alone is rejected, with its code; the good ones around it are accepted."""
    items = [GOOD, bad, TRACK]
    body = b'{"batch":[%b],"sentAt":"x"}' % b",".join(items) if form == "json" else b"\n".join(items)
    content_type = "application/json" if form == "json" else "application/x-ndjson"

    answer = world.post("/v1/batch", body, Content_Type=content_type)

    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["accepted", "rejected", "accepted"]
    assert results[1]["code"] == code


@pytest.mark.parametrize(
    "odd",
    [
        b'{"n":123456789012345678901234567890,"m":-9223372036854775809,"d":39.950,"e":1E+2,"t":1e-400,"z":-0}',
        b'{"b":1,"a":2,"b":"last","a":{"c":1,"c":2}}',
        b'{"nul":"a\\u0000b","":{"\\u0000":1}}',
        b'{"pair":"\\ud83d\\ude00","slash":"\\/"}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/event", "/v1/batch", "/v1/track"])
async def test_record_when_json_is_odd(world: World, path: str, odd: bytes) -> None:
    """Legal JSON is kept byte for byte: every digit, duplicate members, key order, NUL, escapes."""
    item = b'{"id":"%b","version":1,"type":"event","event":"x","properties": %b}' % (uuid.uuid4().hex.encode(), odd)
    body = b'{"batch":[ %b ]}' % item if path == "/v1/batch" else item

    assert world.post(path, body).status_code == 200

    assert item in [record.value for record in await raw_records(world.kafka)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.just("2026-11-24T05:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = "version type event properties timestamp id userId anonymousId context messageId traits sentAt name category"
members = st.fixed_dictionaries(
    {}, optional=dict.fromkeys([*MEMBERS.split(), "groupId", "previousId", "batch", "writeKey"], json_values)
)
likely = st.fixed_dictionaries({"version": st.just(1), "type": st.just("event"), "event": st.just("x")})


@pytest.mark.parametrize("path", PATHS)
@given(bodies=st.lists(st.builds(lambda a, b: a | b, likely | st.just({}), members), min_size=40, max_size=40))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_answer_when_any_member_is_anything(world: World, path: str, bodies: list[dict[str, object]]) -> None:
    """Whatever the envelope holds is answered with 200 or with a 4xx that names what to mend."""
    with requests.Session() as session:
        session.headers.update({"X-Auth-Token": world.token, "Content-Type": "application/json"})
        for body in bodies:
            sent = {"batch": [body], "sentAt": body.get("sentAt")} if path in {"/v1/batch", "/v1/b"} else body
            answer = session.post(f"{world.ingress.base_url}{path}", json.dumps(sent).encode(), timeout=30)

            assert answer.status_code == 200 or (answer.status_code < 500 and answer.json()["message"]), answer.text


def resident_bytes(ingress: Ingress) -> int:
    """The memory of the process."""
    return int(Path(f"/proc/{ingress.running.pid}/statm").read_text("ascii").split()[1]) * 4096


def test_memory_when_thousands_of_hostile_requests(world: World) -> None:
    """The process that has answered each kind hundreds of times is no larger than after the first ones."""
    hostile = [
        *[(path, bomb, encoding) for bomb, encoding, _ in BOMBS for path in ("/v1/batch", "/v1/track")],
        *[("/v1/batch", b'{"batch":[%b]}' % bad, "identity") for bad, _ in BAD_ITEMS],
        *[("/v1/event", bad, "identity") for bad, _ in BAD_ITEMS],
    ]

    def storm(times: int) -> set[int]:
        """Send all of them so often, on eight connections."""

        def send(_: int) -> set[int]:
            with requests.Session() as session:
                session.headers.update({"X-Auth-Token": world.token, "Content-Type": "application/json"})
                return {
                    session.post(
                        f"{world.ingress.base_url}{path}", body, headers={"Content-Encoding": encoding}, timeout=60
                    ).status_code
                    for path, body, encoding in hostile
                }

        with ThreadPoolExecutor(8) as clients:
            return set().union(*clients.map(send, range(times)))

    storm(8)
    before = resident_bytes(world.ingress)

    statuses = storm(48)

    assert {status for status in statuses if not 400 <= status < 500} == set()
    assert resident_bytes(world.ingress) - before < GROWTH_BYTES


def test_memory_when_a_client_reads_no_answer(world: World) -> None:
    """Who asks again and again and never reads is not read from any more, and the others go on."""
    asked = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 1000
    before = resident_bytes(world.ingress)

    def ask_without_end(connection: socket.socket) -> None:
        for _ in range(4096):
            connection.sendall(asked)

    with socket.create_connection(("127.0.0.1", world.ingress.port)) as deaf:
        deaf.settimeout(2)

        with pytest.raises(TimeoutError):
            ask_without_end(deaf)

        assert requests.get(f"{world.ingress.base_url}/livez", timeout=10).status_code == 200
        assert resident_bytes(world.ingress) - before < GROWTH_BYTES
