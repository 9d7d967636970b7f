"""An HTTP load of single events: keep-alive connections, prepared bytes, every answer checked.

Bounded in count; a connection sends its next request when the last one was answered, or when its time has come.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

CONNECTIONS = 64
_LENGTH = b"content-length: "


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go, and with which token."""

    url: str
    token: str


@dataclass(frozen=True, slots=True)
class Sent:
    """One acknowledged event: its id and when its request was begun, in seconds of `time.time()`."""

    event_id: str
    started: float


def purchase(number: int, event: bytes = b"Purchased an Item") -> bytes:
    """The body of one ordinary event."""
    return (
        b'{"version":1,"type":"event","event":"%b","properties":{"revenue":"39.95","shippingMethod":'
        b'"2-day","number":%d},"timestamp":"2026-11-23T00:30:08.276Z","userId":"user-%d"}'
        % (event, number, number % 1000)
    )


async def send(
    target: Target, count: int, per_second: float | None = None, body: Callable[[int], bytes] = purchase
) -> list[Sent]:
    """Post `count` events, evenly spaced where a rate is given, as fast as they are answered where not.

    Raises:
        RuntimeError: with the answer, where an event is refused.
    """
    numbers = iter(range(count))
    begun = time.time()
    workers = [_connection(target, numbers, begun, per_second, body) for _ in range(min(CONNECTIONS, count))]
    return [sent for part in await asyncio.gather(*workers) for sent in part]


async def _connection(
    target: Target, numbers: Iterator[int], begun: float, per_second: float | None, body: Callable[[int], bytes]
) -> list[Sent]:
    parts = urlsplit(target.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = (
        f"POST /v1/event HTTP/1.1\r\nHost: {parts.netloc}\r\nX-Auth-Token: {target.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    sent = []
    for number in numbers:
        if per_second and (early := begun + number / per_second - time.time()) > 0:
            await asyncio.sleep(early)
        event, started = body(number), time.time()
        writer.write(b"%b%d\r\n\r\n%b" % (head, len(event), event))
        sent.append(Sent(await _answer(reader), started))
    writer.close()
    await writer.wait_closed()
    return sent


async def _answer(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    at = lowered.index(_LENGTH) + len(_LENGTH)
    body = await reader.readexactly(int(lowered[at : lowered.index(b"\r", at)]))
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError((head + body).decode())
    event_id: str = msgspec.json.decode(body)["id"]
    return event_id
