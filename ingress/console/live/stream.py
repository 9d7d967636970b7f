"""`GET /teams/{team}/live/stream`: server-sent events to one viewer.

Invariant: a viewer who reads slowly, or not at all, costs one snapshot of the ring; one who may not see the team any
more gets nothing after LOST_SECONDS.
"""

import asyncio
import time

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from ingress.accounts.permissions import Permission, can
from ingress.accounts.sessions import Sessions
from ingress.console.live import messages
from ingress.console.live.feed import Feed
from ingress.console.live.messages import Ending, Message
from ingress.console.live.pulse import KEPT_SECONDS
from ingress.console.live.watch import TooManyViewers, Watch
from ingress.console.visits import COOKIE, now, team_of, user_of
from schemas.errors import Unavailable

LOOK_SECONDS = 0.25
LOST_SECONDS = 4.0
PING_SECONDS = 15.0
# After so long a browser that reads nothing is cut off; it comes back by itself.
SEND_SECONDS = 30.0
LAST_WORD_SECONDS = 1.0
SIGNED_OUT = "You are signed out, or no longer in this team."
STOPPING = "The console is being restarted."


class Stream:
    """The handler.

    Args:
        watch: all viewers.
        sessions: to find out who may not look any more.
    """

    def __init__(self, watch: Watch, sessions: Sessions) -> None:
        self._watch = watch
        self._sessions = sessions

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Stream until the viewer goes, may not look any more, or the console stops."""
        response = EventSourceResponse(send_timeout=SEND_SECONDS, ping_interval=PING_SECONDS)
        response.headers["Cache-Control"] = "no-store"
        await response.prepare(request)
        async with response:
            try:
                last = await self._stream(request, response)
                async with asyncio.timeout(LAST_WORD_SECONDS):
                    await _send(response, last)
            except ConnectionResetError:
                pass
            except TimeoutError:
                # It reads nothing, and would keep the rest of the answer in memory.
                if request.transport is not None:
                    request.transport.abort()
        return response

    async def _stream(self, request: web.Request, response: EventSourceResponse) -> Message:
        try:
            with self._watch.viewer(user_of(request).user.id, team_of(request)) as feed:
                return await self._until_ended(request, response, feed)
        except TooManyViewers as error:
            return messages.end(Ending.TOO_MANY, str(error))

    async def _until_ended(self, request: web.Request, response: EventSourceResponse, feed: Feed) -> Message:
        given = request.headers.get("Last-Event-ID") or request.query.get("after")
        tasks = {
            asyncio.create_task(self._pump(response, feed, given)),
            asyncio.create_task(self._lost(request)),
            asyncio.create_task(self._stopping()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return next(iter(done)).result()

    async def _pump(self, response: EventSourceResponse, feed: Feed, given: str | None) -> Message:
        """Send what changes; while a send waits, changes are neither kept nor counted here, but in the ring."""
        mark, skipped = messages.mark(given, feed), 0
        told = int(time.time()) - KEPT_SECONDS
        while True:
            changes = feed.after(mark)
            mark, skipped = changes.mark, skipped + changes.skipped
            for message in messages.entries(changes, feed.run):
                await _send(response, message)
            moment = time.time()
            if int(moment) - 1 > told:
                await _send(response, messages.pulse(feed, told, moment, self._watch.sight, skipped))
                told = int(moment) - 1
            await asyncio.sleep(LOOK_SECONDS)

    async def _lost(self, request: web.Request) -> Message:
        """Wait until this viewer may not look any more."""
        secret, team = request.cookies.get(COOKIE, ""), team_of(request)
        while True:
            await asyncio.sleep(LOST_SECONDS)
            try:
                found = await self._sessions.find(secret, now())
            except Unavailable:
                # Nobody knows whether they may; the page comes back by itself, and is told.
                return messages.end(Ending.STOPPING, STOPPING)
            if found is None or not can(found, Permission.VIEW_LIVE, team):
                return messages.end(Ending.SIGNED_OUT, SIGNED_OUT)

    async def _stopping(self) -> Message:
        await self._watch.stopping.wait()
        return messages.end(Ending.STOPPING, STOPPING)


async def _send(response: EventSourceResponse, message: Message) -> None:
    await response.send(message.data, message.id, message.event)
