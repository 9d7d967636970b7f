"""What a client may hold on to: connections, heads and time."""

import select
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple

import pytest
import requests

from deploy.topics import create_topics
from ingress.server import EXCESS_CONNECTIONS, EXCESS_SECONDS
from schemas.settings import KafkaSettings
from tests.ingress import GOOD, Ingress, make_accounts, running_ingress
from tests.services import PARTITIONS, wait_until

MAX_CONNECTIONS = 2
MAX_HEADERS = 20
MAX_HEADER_BYTES = 1024
KEEPALIVE_SECONDS = 1
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
CONNECTIONS = "eventsapi_http_connections"
PIPELINED = 60
# A machine under load is slow; a limit that is not kept would take longer than this, or for ever.
SLOW_SECONDS = 10


class World(NamedTuple):
    """An ingress with narrow limits."""

    ingress: Ingress
    token: str


@pytest.fixture(scope="module")
async def few(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """It has room for two connections."""
    kafka, folder = await topics(bootstrap_servers), tmp_path_factory.mktemp("few")
    url, token = await make_accounts(folder)
    with running_ingress(kafka, url, folder, ingress_max_connections=MAX_CONNECTIONS) as ingress:
        yield World(ingress, token)


@pytest.fixture(scope="module")
async def narrow(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """It takes small heads, and soon."""
    kafka, folder = await topics(bootstrap_servers), tmp_path_factory.mktemp("narrow")
    url, token = await make_accounts(folder)
    with running_ingress(
        kafka,
        url,
        folder,
        ingress_keepalive_seconds=KEEPALIVE_SECONDS,
        ingress_max_headers=MAX_HEADERS,
        ingress_max_header_bytes=MAX_HEADER_BYTES,
    ) as ingress:
        yield World(ingress, token)


async def topics(bootstrap_servers: str) -> KafkaSettings:
    """Topics that no other test has."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, PARTITIONS)
    return kafka


def connect(ingress: Ingress) -> socket.socket:
    """A connection that says nothing yet."""
    return socket.create_connection(("127.0.0.1", ingress.port), timeout=SLOW_SECONDS)


@contextmanager
def full(ingress: Ingress) -> Iterator[None]:
    """All connections that there is room for are open, and have had an answer."""
    wait_until(lambda: ingress.metric(CONNECTIONS) == 0, "the connections of others are gone")
    with ExitStack() as held:
        for _ in range(MAX_CONNECTIONS):
            connection = held.enter_context(closing(connect(ingress)))
            connection.sendall(LIVEZ)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        yield


def seconds_until_closed(connection: socket.socket) -> float:
    """How long the other side keeps it open without a word."""
    started = time.monotonic()
    assert connection.recv(65_536) == b""
    return time.monotonic() - started


def test_event_when_there_are_too_many_connections(few: World) -> None:
    """It is refused with 503 and Retry-After, for a balancer to try elsewhere, and taken when there is room again."""
    with full(few.ingress):
        refused = few.ingress.post(few.token)

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["Connection"] == "close"
    assert "too many connections" in refused.json()["message"]
    wait_until(lambda: few.ingress.post(few.token).ok, "there is room again")


def test_health_when_there_are_too_many_connections(few: World) -> None:
    """The health routes answer all the same: a restart would not mend it."""
    with full(few.ingress):
        answers = [requests.get(f"{few.ingress.base_url}{path}", timeout=10) for path in ("/livez", "/readyz")]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.headers["Connection"] for answer in answers} == {"close"}


def test_connection_when_it_is_one_too_many_and_says_nothing(few: World) -> None:
    """It is closed soon; and where very many are too many, the next one is closed at once, before those."""
    with full(few.ingress), ExitStack() as held:
        silent = held.enter_context(closing(connect(few.ingress)))
        assert seconds_until_closed(silent) > EXCESS_SECONDS / 2

        *_, last = [held.enter_context(closing(connect(few.ingress))) for _ in range(EXCESS_CONNECTIONS)]
        dropped = held.enter_context(closing(connect(few.ingress)))
        seconds_until_closed(dropped)
        assert not is_closed(last)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it, or said something."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"A%d: a" % number for number in range(MAX_HEADERS - 4)], b"200"),
        ([b"A%d: a" % number for number in range(MAX_HEADERS - 3)], b"400"),
        ([b"A: " + b"a" * MAX_HEADER_BYTES], b"200"),
        ([b"A: " + b"a" * (MAX_HEADER_BYTES + 1)], b"400"),
        ([b"A" * (MAX_HEADER_BYTES + 1) + b": a"], b"400"),
    ],
    ids=["headers", "a header too many", "long header", "too long value", "too long name"],
)
def test_event_when_its_head_is_large(narrow: World, lines: list[bytes], status: bytes) -> None:
    """A head within the limits is taken; more headers or longer ones are 400 in our shape."""
    common = [b"POST /v1/event HTTP/1.1", b"Host: a", b"Content-Type: application/json"]
    common += [b"X-Auth-Token: " + narrow.token.encode(), b"Content-Length: %d" % len(GOOD)]

    received = narrow.ingress.exchange(b"\r\n".join([*common, *lines, b"", GOOD]))

    assert received.split()[1] == status
    assert (b'"code":"bad_request"' in received) == (status == b"400")


def test_request_when_its_line_is_long(narrow: World) -> None:
    """A request line over the limit is 400 in our shape."""
    received = narrow.ingress.exchange(b"GET /" + b"a" * MAX_HEADER_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    assert received.split()[1] == b"400"
    assert b'"code":"bad_request"' in received


@pytest.mark.parametrize("sent", [b"", LIVEZ[:10], LIVEZ[:-2]], ids=["nothing", "half a line", "half a head"])
@pytest.mark.parametrize("answered", [False, True], ids=["new", "used"])
def test_connection_when_no_head_comes(narrow: World, sent: bytes, *, answered: bool) -> None:
    """A connection without a whole head is closed after INGRESS_KEEPALIVE_SECONDS, whether it was used before."""
    with closing(connect(narrow.ingress)) as connection:
        if answered:
            connection.sendall(LIVEZ)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(sent)

        assert seconds_until_closed(connection) > KEEPALIVE_SECONDS / 2


def test_connection_when_its_head_drips(narrow: World) -> None:
    """Bytes that come one by one do not hold a connection open."""
    with closing(connect(narrow.ingress)) as connection:
        started = time.monotonic()
        connection.settimeout(KEEPALIVE_SECONDS / 10)
        connection.sendall(b"GET /livez HTTP/1.1\r\nA: ")
        with pytest.raises((ConnectionError, EOFError)):
            drip(connection, until=started + SLOW_SECONDS)

        assert time.monotonic() - started < SLOW_SECONDS


def drip(connection: socket.socket, until: float) -> None:
    """Send a byte whenever nothing was heard for a while.

    Raises:
        EOFError: where the other side closes it.
    """
    while time.monotonic() < until:
        try:
            if not connection.recv(1):
                raise EOFError
        except TimeoutError:
            connection.sendall(b"a")


@pytest.mark.parametrize("pieces", [1, 7, 100], ids=["at once", "in pieces", "in small pieces"])
def test_answers_when_requests_are_pipelined(few: World, pieces: int) -> None:
    """Requests that do not wait for each other's answers are answered in their order, however they are cut up."""
    requests = b"".join(request(few.token, number) for number in range(PIPELINED))
    with closing(connect(few.ingress)) as connection:
        step = -(-len(requests) // pieces)
        for start in range(0, len(requests), step):
            connection.sendall(requests[start : start + step])
        received = b""
        while not received.endswith(f'request_id":"r{PIPELINED - 1}"}}'.encode()):
            part = connection.recv(65_536)
            assert part, "closed"
            received += part

    answers = received.split(b"HTTP/1.1 ")[1:]
    assert [(answer[:3], answer.partition(b"X-Request-Id: ")[2].split(b"\r\n")[0]) for answer in answers] == [
        (b"400" if number % 3 == 2 else b"200", b"r%d" % number) for number in range(PIPELINED)
    ]


def request(token: str, number: int) -> bytes:
    """A good event, a question for health or a bad event, in turn."""
    body = (GOOD, b"", b"{")[number % 3]
    line = b"GET /livez" if number % 3 == 1 else b"POST /v1/event"
    head = b"%b HTTP/1.1\r\nHost: a\r\nX-Auth-Token: %b\r\nX-Request-Id: r%d\r\nContent-Type: application/json\r\n"
    return head % (line, token.encode(), number) + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
