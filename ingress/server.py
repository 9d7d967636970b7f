"""The public listener: aiohttp's low-level server, so that every answer is ours, in one shape, with nothing between.

Invariant: whatever arrives is answered in the shape of `answers`, and never with a 500, unless there is a bug.
"""

import asyncio
import time

from aiohttp import StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage

from ingress import answers
from ingress.answer import Answer
from ingress.answers import REFUSALS, Refusal
from ingress.connection import Connection
from ingress.delivery import Delivery
from ingress.health import Health
from ingress.limits import RateLimited
from ingress.request import Request
from ingress.route import OTHER, PARAMETER, Act, Route
from ingress.settings import IngressSettings
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.metrics import EVENTS_REFUSED

# How long the unread rest of a refused body is swallowed, so that its sender can read the refusal.
LINGERING_SECONDS = 1.0
# How many connections over the limit are told so, and how long such a one has to ask; more are cut off unheard.
EXCESS_CONNECTIONS = 128
EXCESS_SECONDS = 2.0

_log = get_logger(__name__)


class PublicServer(web.Server):
    """Every connection and every request of the public listener."""

    def __init__(self, routes: list[Route], settings: IngressSettings, health: Health, max_connections: int) -> None:
        loop, max_bytes = asyncio.get_running_loop(), settings.ingress_max_batch_bytes
        super().__init__(
            self._answer,  # type: ignore[arg-type]  # an Answer is all that aiohttp asks of it
            request_factory=lambda message, payload, protocol, writer, task: Request(
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
            self._began,
            loop=self._loop,
            keepalive_timeout=self._keepalive_seconds,
            max_headers=self._max_headers,
            max_field_size=self._max_header_bytes,
            max_line_size=self._max_header_bytes,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,
            access_log=None,
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

    def _route(self, path: str) -> Route:
        """What this path is; one of an unknown path, where it is none."""
        return self._routes.get(path) or self._routes.get(f"{path.rpartition('/')[0]}/{PARAMETER}", self._other)

    def _refused(self, error: Refusal, route: Route, request: Request, name: str) -> Answer:
        """The answer to a request that is refused; it is counted."""
        answer = answers.refused(error, name)
        # What only asks brings no event that could be refused.
        if request.method != hdrs.METH_GET:
            EVENTS_REFUSED.labels(error.code).inc(error.events if isinstance(error, RateLimited) else 1)
        if request.method not in route.methods and route.methods:
            answer.headers[hdrs.ALLOW] = ", ".join(route.methods)
        if not request.content.is_eof():
            # The rest of a body that nobody reads ends the connection.
            answer.force_close()
        return answer

    def _complete(self, route: Route, request: Request, answer: Answer, started: float) -> None:
        """Add to an answer what all of the path carry, and count it."""
        if route.finish is not None:
            route.finish(request, answer)
        if not self._health.serving or self._is_excess(request.protocol):
            answer.force_close()
        route.count(answer.status, time.perf_counter() - started)

    def _ended(self) -> None:
        """A request is answered, or has failed."""
        self._in_flight -= 1
        if self._drained and not self._in_flight and not self._drained.done():
            self._drained.set_result(None)

    def _is_excess(self, connection: web.RequestHandler) -> bool:
        """Whether this connection is one too many."""
        return connection in self._excess

    def _began(self, message: RawRequestMessage, body: StreamReader, connection: Connection) -> bool:
        """Begin with a request whose body is here, where its path takes events; `_answer` without a task."""
        route = self._routes.get(message.path)
        if route is None or route.intake is None or message.method != hdrs.METH_POST or self._is_excess(connection):
            return False
        request = Request(message, body, connection, None, None, self._loop)  # type: ignore[arg-type]  # unused
        name, started = answers.request_id(request), time.perf_counter()
        self._in_flight += 1

        def send(answer: Answer) -> None:
            self._complete(route, request, answer, started)
            connection.send(request, answer)

        def done(delivery: Delivery) -> None:
            try:
                try:
                    answer = delivery.answer()
                except Unavailable as error:
                    answer = self._refused(error, route, request, name)
                send(answer)
            except Exception:  # noqa: BLE001 - a bug, of which the others who wait for the same flush know nothing
                _log.exception("not_answered", route=route.path)
                connection.force_close()
            finally:
                self._ended()

        try:
            route.intake.begin(request, name, done)
        except REFUSALS as error:
            self._ended()
            send(self._refused(error, route, request, name))
        except BaseException:
            self._ended()
            raise
        return True

    async def _answer(self, request: Request) -> Answer:
        route, name, started = self._route(request.path), answers.request_id(request), time.perf_counter()
        self._in_flight += 1
        try:
            try:
                answer = await self._find(route, request)(request, name)
            except REFUSALS as error:
                answer = self._refused(error, route, request, name)
            self._complete(route, request, answer, started)
        finally:
            self._ended()
        return answer

    def _find(self, route: Route, request: Request) -> Act:
        if self._is_excess(request.protocol) and request.method == hdrs.METH_POST:
            raise Unavailable("There are too many connections: send the event again with the same id.")
        return route.find(request.method)
