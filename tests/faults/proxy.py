"""A TCP proxy between any two parts that delays, throttles, cuts or swallows what passes, each way on its own."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK_BYTES = 64 << 10
LINGER_SECONDS = 3


@dataclass(slots=True)
class Direction:
    """What happens to bytes that go this way.

    Attributes:
        delay_seconds: each chunk waits so long.
        bytes_per_second: no faster than this; None is unlimited.
        swallow: they are read and never passed on: the other side sees silence.
    """

    delay_seconds: float = 0
    bytes_per_second: float | None = None
    swallow: bool = False


@dataclass(slots=True)
class Proxy:
    """One listener in front of one server.

    Attributes:
        requests: bytes from client to server.
        answers: bytes from server to client.
        refuse: new connections are closed at once.
    """

    port: int
    target_port: int
    requests: Direction = field(default_factory=Direction)
    answers: Direction = field(default_factory=Direction)
    refuse: bool = False
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    def heal(self) -> None:
        """Everything passes again; connections that met a fault are closed, as their bytes may be lost."""
        if self.requests != Direction() or self.answers != Direction():
            self.reset()
        self.requests, self.answers, self.refuse = Direction(), Direction(), False

    def partition(self) -> None:
        """Nothing passes either way, and nobody is told."""
        self.requests.swallow = self.answers.swallow = True

    def reset(self) -> None:
        """Break every connection with a TCP reset."""
        for writer in list(self._open):
            _abort(writer)

    async def close(self) -> None:
        """Break every connection and wait until the last one is gone."""
        self.reset()
        await asyncio.gather(*self._serving)

    def accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Take one connection."""
        serving = asyncio.create_task(self._serve(client, to_client))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        if self.refuse:
            _abort(to_client)
            return
        writers = {to_client}
        self._open |= writers
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self.target_port)
            writers.add(to_server)
            self._open.add(to_server)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(client, to_server, "requests"))
                both.create_task(self._pump(server, to_client, "answers"))
        except* OSError:
            pass  # either side is gone, and so is the other one then
        finally:
            self._open -= writers
            for writer in writers:
                _abort(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            direction: Direction = getattr(self, way)
            if direction.delay_seconds:
                await asyncio.sleep(direction.delay_seconds)
            if direction.bytes_per_second:
                await asyncio.sleep(len(chunk) / direction.bytes_per_second)
            if not direction.swallow:
                writer.write(chunk)
                await writer.drain()
        # What was sent arrives before the news that its sender is gone, as from a machine that died.
        await asyncio.sleep(LINGER_SECONDS if way == "requests" else 0)
        raise ConnectionResetError  # ends the other way too


@asynccontextmanager
async def proxy(target_port: int, port: int = 0) -> AsyncIterator[Proxy]:
    """A proxy in front of a port of this machine; `port` 0 takes a free one."""
    between = Proxy(port, target_port)
    server = await asyncio.start_server(between.accept, "127.0.0.1", port)
    between.port = server.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        server.close()
        await between.close()
        await server.wait_closed()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset: lingering for zero seconds makes close() send one."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
