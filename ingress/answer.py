"""An answer on its way to the client.

Its head is written here: in aiohttp's own way, answering took a third of the time of a request with one event.
"""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web

NO_CONTENT = 204


class Answer:
    """What aiohttp's connection asks of an answer, and no more.

    Attributes:
        headers: by name, none of them more than once; none may hold a line break.
        keep_alive: whether the connection stays open; None until it is sent, and then as the client wants it.
    """

    __slots__ = ("_request", "body", "headers", "keep_alive", "status")

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers)
        self.keep_alive: bool | None = None
        self._request: web.BaseRequest | None = None

    def force_close(self) -> None:
        """Close the connection after it."""
        self.keep_alive = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Be told by aiohttp what is answered."""
        self._request = request

    async def write_eof(self) -> None:
        """Send all of it, as aiohttp asks.

        Raises:
            ConnectionResetError: where the client is gone.
        """
        request = self._request
        if request is None or request.transport is None:
            raise ConnectionResetError
        if self.keep_alive is None:
            self.keep_alive = request.keep_alive
        request.transport.write(self.encode(request.method, is_1_1=request.version >= HttpVersion11))
        # Waits where the client reads nothing: what is sent to it has a bound.
        await request.writer.drain()

    def encode(self, method: str, *, is_1_1: bool) -> bytes:
        """The bytes of it, in the version of HTTP that the client speaks."""
        lines = [_status_line(self.status, is_1_1=is_1_1)]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if bool(self.keep_alive) is not is_1_1:
            lines.append("Connection: keep-alive" if self.keep_alive else "Connection: close")
        if self.status != NO_CONTENT:
            lines.append(f"Content-Length: {len(self.body)}")
        lines.append(f"Date: {_date(int(time.time()))}\r\n\r\n")
        head = "\r\n".join(lines).encode()
        return head if method == hdrs.METH_HEAD else head + self.body


# Many answers go within the same second.
@lru_cache(maxsize=4)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


@lru_cache(maxsize=64)
def _status_line(status: int, *, is_1_1: bool) -> str:
    return f"HTTP/1.{is_1_1:d} {status} {HTTPStatus(status).phrase}"
