"""Whether a server answers yet: `kafka://host:port` in Kafka's protocol, `http://…` with 200."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

# ApiVersions, which every broker answers first: length, key 18, version 0, correlation 1, no client id.
_API_VERSIONS = bytes.fromhex("0000000a0012000000000001ffff")
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 2.0


async def until_ready(probe: str) -> None:
    """Return when the address answers; whoever waits sets the deadline."""
    while not await answers(probe):  # noqa: ASYNC110 - another process cannot set an event
        await asyncio.sleep(_POLL_SECONDS)


async def answers(probe: str) -> bool:
    """Whether the address answers as it should, now."""
    parts = urlsplit(probe)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            if parts.scheme == "kafka":
                # Any one of several servers will do.
                host, _, port = parts.netloc.split(",")[0].rpartition(":")
                return len(await _exchange(host, int(port), _API_VERSIONS, 4)) == 4
            request = f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode()
            status = await _exchange(str(parts.hostname), parts.port or 80, request, 12)
            return status[9:12] == b"200"
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False


async def _exchange(host: str, port: int, request: bytes, expected: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        return await reader.readexactly(expected)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
