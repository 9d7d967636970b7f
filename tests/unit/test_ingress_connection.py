"""Requests that are answered without a task, over a transport that only remembers."""

import asyncio
from collections.abc import Mapping

import pytest

from ingress import answers
from ingress.answer import Answer
from ingress.connection import Connection
from ingress.delivery import Delivery
from ingress.flush import Flush, Outcome
from ingress.health import Health
from ingress.intake import Intake
from ingress.request import Request
from ingress.route import Route
from ingress.server import PublicServer
from ingress.settings import IngressSettings

SECONDS = 60


class Remembering(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += data

    def close(self) -> None:
        """Remember that, too."""
        self.closed = True


class World:
    """A server with one path, whose requests all wait for the same flush."""

    def __init__(self) -> None:
        self.flush = Flush()
        health = Health.__new__(Health)
        health.serving = True
        intake = Intake(lambda _: None, self._take, 1_000, SECONDS, SECONDS)
        self.server = PublicServer([Route("/v1/event", None, intake)], IngressSettings(), health, 10)

    def _take(self, _request: Request, body: bytes, name: str) -> Delivery:
        def conclude(_outcomes: Mapping[Flush, Outcome]) -> Answer:
            if body == b"bug":
                raise ZeroDivisionError
            return answers.accepted(body.decode(), name)

        return Delivery([self.flush], conclude)

    async def connect(self) -> tuple[Connection, Remembering]:
        """A connection that waits for its first request."""
        connection, transport = self.server(), Remembering()
        assert isinstance(connection, Connection)
        connection.connection_made(transport)
        await asyncio.sleep(0)
        return connection, transport


def request(body: bytes) -> bytes:
    """In one piece."""
    return b"POST /v1/event HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def test_answers_when_one_of_them_fails() -> None:
    """The others who wait for the same flush are answered, the connection of that one is closed, and all is drained."""
    world = World()
    bad, good = await world.connect(), await world.connect()
    for (connection, _), body in ((bad, b"bug"), (good, b"fine")):
        connection.data_received(request(body))
    assert good[1].written == b""

    world.flush.settle(None)

    assert (bad[1].written, bad[1].closed) == (b"", True)
    assert good[1].written.endswith(b'{"success":true,"id":"fine"}')
    assert not good[1].closed
    async with asyncio.timeout(1):
        await world.server.drain(SECONDS)


async def test_drain_when_a_request_is_at_work() -> None:
    """It waits until the last request is answered, and no longer."""
    world = World()
    connection, transport = await world.connect()
    connection.data_received(request(b"fine"))
    draining = asyncio.create_task(world.server.drain(SECONDS))
    await asyncio.sleep(0)
    assert not draining.done()

    world.flush.settle(None)

    async with asyncio.timeout(1):
        await draining
    assert transport.written


@pytest.mark.parametrize("closing", [b"Connection: close\r\n", b""], ids=["close", "keep"])
async def test_connection_when_its_client_wants_it_closed(closing: bytes) -> None:
    """It is closed after the answer where the client says so, and only there."""
    world = World()
    connection, transport = await world.connect()
    connection.data_received(request(b"fine").replace(b"Host: a\r\n", b"Host: a\r\n" + closing))

    world.flush.settle(None)

    assert transport.closed is bool(closing)
    assert (b"Connection: close" in transport.written) is bool(closing)
