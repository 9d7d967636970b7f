"""The fault proxy does what its names say (on loopback sockets of its own)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from tests.faults.proxy import Proxy, proxy
from tests.services import free_port

Echo = tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]
SILENCE_SECONDS = 0.2


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """A connection through a proxy to a server that echoes lines, and the lines that the server saw."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, proxy(server.sockets[0].getsockname()[1]) as between:
        reader, writer = await asyncio.open_connection("127.0.0.1", between.port)
        yield between, reader, writer
        writer.close()


async def is_silent(answer: Awaitable[bytes]) -> bool:
    """Whether nothing comes for a while."""
    try:
        await asyncio.wait_for(answer, SILENCE_SECONDS)
    except TimeoutError:
        return True
    return False


async def test_bytes_when_healthy(echo: Echo) -> None:
    """Without a fault everything passes."""
    _, reader, writer = echo

    writer.write(b"hello\n")

    assert await reader.readline() == b"hello\n"


async def test_answers_when_swallowed(echo: Echo) -> None:
    """The sender hears nothing, then a reset, and the healed proxy serves new connections."""
    between, reader, writer = echo
    between.answers.swallow = True
    writer.write(b"lost\n")

    assert await is_silent(reader.readline())
    between.heal()
    with pytest.raises(ConnectionError):
        await reader.readline()

    again, to_server = await asyncio.open_connection("127.0.0.1", between.port)
    to_server.write(b"back\n")
    assert await again.readline() == b"back\n"
    to_server.close()


async def test_bytes_when_delayed(echo: Echo) -> None:
    """A delayed chunk comes late, but comes."""
    between, reader, writer = echo
    between.requests.delay_seconds = 2 * SILENCE_SECONDS
    writer.write(b"late\n")

    answer = asyncio.ensure_future(reader.readline())
    assert await is_silent(asyncio.shield(answer))
    assert await answer == b"late\n"


async def test_connection_when_refused(echo: Echo) -> None:
    """A refusing proxy breaks new connections at once."""
    between, _, _ = echo
    between.refuse = True

    reader, writer = await asyncio.open_connection("127.0.0.1", between.port)

    with pytest.raises(ConnectionError):
        await reader.read()
    writer.close()


async def test_connection_when_the_server_is_gone() -> None:
    """In front of a dead server the proxy breaks connections, as the server's machine would."""
    async with proxy(target_port=free_port()) as between:
        reader, writer = await asyncio.open_connection("127.0.0.1", between.port)

        with pytest.raises(ConnectionError):
            await reader.read()
        writer.close()
