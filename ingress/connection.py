"""One connection: aiohttp's, with a short cut for requests that came in one piece.

aiohttp answers each request in a task of its own, which a second one of the connection waits for.  Where the body came
together with the head there is nothing to wait for but Kafka, so such a request is answered without either: `Begin` is
called as soon as it is parsed, and the answer is written when it is known.  That saves a seventh of an event's CPU.
Invariant: one request of a connection is at work at a time, in the one way or in the other; all else (limits, order,
idle connections, closing) is aiohttp's.
"""

from collections.abc import Callable

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

from ingress import answers
from ingress.answer import Answer
from ingress.request import Request
from ingress.route import OTHER
from schemas.errors import ErrorCode, InvalidEvent
from schemas.metrics import EVENTS_REFUSED, HTTP_REQUESTS

Begin = Callable[[RawRequestMessage, StreamReader, "Connection"], bool]
"""Answers a request, whose body is here, by `Connection.send`; False where that takes a task."""


class Connection(web.RequestHandler):
    """A connection of the public listener."""

    __slots__ = ("_begin",)

    def __init__(self, server: web.Server, begin: Begin, **options: object) -> None:
        super().__init__(server, **options)  # type: ignore[arg-type]  # passed on as they are
        self._begin = begin

    def data_received(self, data: bytes) -> None:
        """Parse; aiohttp's task wakes up only for what is left to it."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            super().data_received(data)
            return
        self._waiter = None
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._messages and not self._request_in_progress and not self._began():
            waiter.set_result(None)

    def send(self, request: Request, answer: Answer) -> None:
        """Write the answer to the request at work, and go on as aiohttp does."""
        if answer.keep_alive is None:
            answer.keep_alive = request.keep_alive
        if self.transport is not None:
            self.transport.write(answer.encode(request.method, is_1_1=request.version >= HttpVersion11))
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if self._close or not answer.keep_alive:
            self.force_close()
        elif not self._force_close:
            self._await_next()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - as aiohttp calls it
        """Go on where something was paused; aiohttp calls it with each body, whether or not."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer bytes that are no HTTP, and close; aiohttp would repeat them, and log what is not our fault."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        refusal = InvalidEvent(ErrorCode.BAD_REQUEST, "The request is not well-formed HTTP/1.1.")
        EVENTS_REFUSED.labels(refusal.code).inc()
        answer = answers.refused(refusal, answers.request_id(request))
        answer.force_close()
        HTTP_REQUESTS.labels(OTHER, answer.status).inc()
        return answer  # type: ignore[return-value]  # an Answer is all that aiohttp asks of it

    def _began(self) -> bool:
        """Whether the first request that waits is answered without a task."""
        message, payload = self._messages[0]
        # Who sends before the last answer is read, or asks whether to send the body, is left to aiohttp.
        if (
            len(self._messages) > 1
            or self._paused
            or not payload.is_eof()
            or not isinstance(message, RawRequestMessage)
            or hdrs.EXPECT in message.headers
        ):
            return False
        self._messages.popleft()
        self._request_in_progress = True
        if self._begin(message, payload, self):
            if self._parser is not None:
                self._parser.message_consumed()
            return True
        self._request_in_progress = False
        self._messages.appendleft((message, payload))
        return False

    def _await_next(self) -> None:
        """Close the connection if nothing more comes for too long; begin with what has come meanwhile."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        if self._messages and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _process_keepalive(self) -> None:
        """A connection whose request is at work is not idle, although aiohttp's task sleeps."""
        if self._request_in_progress:
            self._keepalive_handle = None
        else:
            super()._process_keepalive()
