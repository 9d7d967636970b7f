"""The public listener: aiohttp's low-level server, so that every answer is ours, in one shape, with nothing between.

Invariant: whatever arrives is answered in the shape of `answers`, and never with a 500, unless there is a bug.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from ingress import answers
from ingress.answer import Answer
from ingress.health import Health
from ingress.limits import RateLimited
from ingress.settings import IngressSettings
from schemas.errors import ErrorCode, InvalidEvent, Unavailable
from schemas.metrics import EVENTS_REFUSED, HTTP_REQUEST_SECONDS, HTTP_REQUESTS

# How long the unread rest of a refused body is swallowed, so that its sender can read the refusal.
LINGERING_SECONDS = 1.0
# How many connections over the limit are told so, and how long such a one has to ask; more are cut off unheard.
EXCESS_CONNECTIONS = 128
EXCESS_SECONDS = 2.0
OTHER = "other"
PARAMETER = "{id}"
"""Stands in a route's path for its last segment, where that may be anything."""

Act = Callable[[web.BaseRequest, str], Awaitable[Answer]]
"""Answers a request, which has a name; raises InvalidEvent, RateLimited or Unavailable for a refusal."""

Finish = Callable[[web.BaseRequest, Answer], None]
"""Adds what every answer of a path carries, refusals too."""


class Route:
    """One path: what each method does, and its own metrics."""

    def __init__(self, path: str, finish: Finish | None = None, **methods: Act) -> None:
        self.path = path
        self.finish = finish
        self.methods = methods
        self._seconds = HTTP_REQUEST_SECONDS.labels(path)
        self._requests = {200: HTTP_REQUESTS.labels(path, 200)}

    def find(self, method: str) -> Act:
        """What this method does.

        Raises:
            InvalidEvent: where it does nothing here.
        """
        act = self.methods.get(method)
        if act is not None:
            return act
        if self.methods:
            message = f"This path takes {' and '.join(self.methods)} only."
            raise InvalidEvent(ErrorCode.METHOD_NOT_ALLOWED, message)
        raise InvalidEvent(
            ErrorCode.NOT_FOUND, "There is nothing at this path; events go to POST /v1/event or /v1/batch."
        )

    def count(self, status: int, seconds: float) -> None:
        """Count one answer."""
        requests = self._requests.get(status)
        if requests is None:
            requests = self._requests[status] = HTTP_REQUESTS.labels(self.path, status)
        requests.inc()
        self._seconds.observe(seconds)


class PublicServer(web.Server):
    """Every connection and every request of the public listener."""

    def __init__(self, routes: list[Route], settings: IngressSettings, health: Health, max_connections: int) -> None:
        loop, max_bytes = asyncio.get_running_loop(), settings.ingress_max_batch_bytes
        super().__init__(
            self._answer,  # type: ignore[arg-type]  # an Answer is all that aiohttp asks of it
            request_factory=lambda message, payload, protocol, writer, task: web.BaseRequest(
                message, payload, protocol, writer, task, loop, client_max_size=max_bytes
            ),
        )
        self._routes = {route.path: route for route in routes}
        self._other = Route(OTHER)
        self._keepalive_seconds = settings.ingress_keepalive_seconds
        self._max_headers = settings.ingress_max_headers
        self._max_header_bytes = settings.ingress_max_header_bytes
        self._max_connections = max_connections
        self._excess: set[web.RequestHandler] = set()
        self.open_connections = 0
        self._health = health
        self._in_flight = 0
        self._drained: asyncio.Future[None] | None = None

    def __call__(self) -> web.RequestHandler:
        """One connection, with every limit said."""
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._keepalive_seconds,
            max_headers=self._max_headers,
            max_field_size=self._max_header_bytes,
            max_line_size=self._max_header_bytes,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own runners pass None as well
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection; one too many is told so when it asks, since a balancer then tries elsewhere at once.

        Left in the backlog it would look like a server that hangs.
        """
        super().connection_made(handler, transport)
        self.open_connections += 1
        if self.open_connections > self._max_connections + EXCESS_CONNECTIONS:
            transport.abort()
        elif self.open_connections > self._max_connections:
            self._excess.add(handler)
            asyncio.get_running_loop().call_later(EXCESS_SECONDS, transport.close)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Make room for the next one."""
        super().connection_lost(handler, exc)
        self.open_connections -= 1
        self._excess.discard(handler)

    async def drain(self, seconds: float) -> None:
        """Wait until every request that has begun is answered, at most so long; to be called when nothing is accepted.

        aiohttp reads nothing more from a connection once it is told to close it, so that a body on its way would never
        arrive.  Hence we wait first.
        """
        if self._in_flight:
            self._drained = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._drained,), timeout=seconds)

    async def _answer(self, request: web.BaseRequest) -> Answer:
        started = time.perf_counter()
        self._in_flight += 1
        route = self._routes.get(request.path) or self._parametrized(request.path)
        try:
            answer = await self._act(route, request)
        finally:
            self._in_flight -= 1
            if self._drained and not self._in_flight and not self._drained.done():
                self._drained.set_result(None)
        if not self._health.serving or request.protocol in self._excess:
            answer.force_close()
        route.count(answer.status, time.perf_counter() - started)
        return answer

    def _parametrized(self, path: str) -> Route:
        """The route whose last segment may be anything."""
        return self._routes.get(f"{path.rpartition('/')[0]}/{PARAMETER}", self._other)

    async def _act(self, route: Route, request: web.BaseRequest) -> Answer:
        name = answers.request_id(request)
        try:
            answer = await self._find(route, request)(request, name)
        except (InvalidEvent, RateLimited, Unavailable) as error:
            answer = _refuse(error, name)
            # What only asks brings no event that could be refused.
            if request.method != hdrs.METH_GET:
                EVENTS_REFUSED.labels(error.code).inc(error.events if isinstance(error, RateLimited) else 1)
            if request.method not in route.methods and route.methods:
                answer.headers[hdrs.ALLOW] = ", ".join(route.methods)
            if not request.content.is_eof():
                # The rest of a body that nobody reads ends the connection.
                answer.force_close()
        if route.finish is not None:
            route.finish(request, answer)
        return answer

    def _find(self, route: Route, request: web.BaseRequest) -> Act:
        if request.protocol in self._excess and request.method == hdrs.METH_POST:
            raise Unavailable("There are too many connections: send the event again with the same id.")
        return route.find(request.method)


class Connection(web.RequestHandler):
    """aiohttp's connection, with our answer to bytes that are no HTTP: theirs is text that repeats the input."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer and close; only what is our fault is logged."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        refusal = InvalidEvent(ErrorCode.BAD_REQUEST, "The request is not well-formed HTTP/1.1.")
        EVENTS_REFUSED.labels(refusal.code).inc()
        answer = _refuse(refusal, answers.request_id(request))
        answer.force_close()
        HTTP_REQUESTS.labels(OTHER, answer.status).inc()
        return answer  # type: ignore[return-value]  # as above


def _refuse(error: InvalidEvent | RateLimited | Unavailable, name: str) -> Answer:
    if isinstance(error, RateLimited):
        return answers.rate_limited(error, name)
    if isinstance(error, InvalidEvent):
        return answers.refused(error, name)
    return answers.unavailable(error, name)
