"""A browser that looks at the Live page, for tests: reads the stream, and puts together what it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.console import Visitor
from tests.services import eventually

Entry = dict[str, Any]


@dataclass
class Viewer:
    """What one viewer has been told.

    Attributes:
        entries: by key, as the page's script puts them together.
        told: the `entries` messages one by one.
        seconds: each second that was told.
        pulse: the last one.
        ending: the last message of all; None while the stream goes on.
        closed: whether the server has closed the stream.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    told: list[list[Entry]] = field(default_factory=list)
    seconds: list[dict[str, Any]] = field(default_factory=list)
    pulse: dict[str, Any] = field(default_factory=dict)
    ending: dict[str, Any] | None = None
    last_id: str = ""
    comments: int = 0
    closed: bool = False

    async def read(self, stream: aiohttp.StreamReader) -> None:
        """Until it ends."""
        message: dict[str, str] = {}
        async for line in _lines(stream):
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                message[name] = value
            elif message:
                self._take(message)
                message = {}
        self.closed = True

    async def wait(self, condition: Callable[["Viewer"], object], what: str, seconds: float = 30) -> None:
        """Wait until what was told is so."""

        async def is_so() -> object:
            return condition(self)

        await eventually(is_so, what, seconds)

    async def entry(self, what: str, **sent: object) -> Entry:
        """Wait for an entry whose event has these members."""
        await self.wait(lambda _: self.find(**sent), what)
        (found,) = self.find(**sent)
        return found

    def find(self, **sent: object) -> list[Entry]:
        """The entries whose event has these members."""
        return [entry for entry in self.entries.values() if sent.items() <= entry["sent"].items()]

    def total(self, what: str) -> int:
        """How many were counted in all seconds."""
        return sum(second.get(what, 0) for second in self.seconds)

    def _take(self, message: dict[str, str]) -> None:
        body = json.loads(message["data"])
        self.last_id = message.get("id", self.last_id)
        if message["event"] == "entries":
            self.told.append(body)
            for entry in body:
                known = self.entries.setdefault(entry["key"], {"sent": {}})
                known |= {"fault": None} | entry
        elif message["event"] == "pulse":
            self.pulse = body
            self.seconds += body["seconds"]
        else:
            self.ending = body


@asynccontextmanager
async def looking(visitor: Visitor, team: str, last_id: str | None = None) -> AsyncIterator[Viewer]:
    """Look at a team's events for as long as the context lasts; `last_id` as a browser sends it that comes back."""
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())}
    headers |= {"Last-Event-ID": last_id} if last_id else {}
    url = f"{visitor.base_url}/teams/{team}/live/stream"
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=1 << 22) as session,
        session.get(url) as answer,
    ):
        assert answer.content_type == "text/event-stream", await answer.text()
        viewer = Viewer()
        reading = asyncio.create_task(viewer.read(answer.content))
        try:
            await viewer.wait(lambda _: viewer.pulse.get("kafka") or viewer.closed, "Kafka is followed")
            yield viewer
        finally:
            reading.cancel()
            await asyncio.wait([reading])


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[str]:
    """The lines of a stream, however long they are."""
    rest = b""
    async for part in stream.iter_any():
        *lines, rest = (rest + part).split(b"\r\n")
        for line in lines:
            yield line.decode()
