"""The public routes: each turns a request into an answer, and every refusal into its code."""

import os
import time
from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion11, hdrs, web

from ingress import answers
from ingress.auth import TokenSnapshot
from ingress.envelope import UUID7_RANDOM_BYTES, Arrival, wrap
from ingress.health import Health
from ingress.producer import Producer, acknowledged
from ingress.requests import authenticate, check_expectation, check_head, read_body
from ingress.settings import IngressSettings
from schemas.errors import ErrorCode, InvalidEvent, Unavailable
from schemas.events import parse_event
from schemas.metrics import EVENTS_ACCEPTED, EVENTS_REFUSED, HTTP_REQUEST_SECONDS, HTTP_REQUESTS

SETTINGS = web.AppKey("settings", IngressSettings)
TOKENS = web.AppKey("tokens", TokenSnapshot)
PRODUCER = web.AppKey("producer", Producer)
HEALTH = web.AppKey("health", Health)

Handler = Callable[[web.Request], Awaitable[web.Response]]


def answered(route: str, act: Callable[[web.Request, str], Awaitable[web.Response]]) -> Handler:
    """A handler that counts and times its answers under this route, and answers what `act` raises."""
    seconds = HTTP_REQUEST_SECONDS.labels(route)

    async def handler(request: web.Request) -> web.Response:
        started = time.perf_counter()
        name = answers.request_id(request)
        try:
            answer = await act(request, name)
        except (InvalidEvent, Unavailable) as error:
            answer = _refuse(request, error, name)
        if request.app[HEALTH].draining:
            answer.force_close()
        HTTP_REQUESTS.labels(route, answer.status).inc()
        seconds.observe(time.perf_counter() - started)
        return answer

    return handler


async def post_event(request: web.Request, name: str) -> web.Response:
    """`POST /v1/event`: 200 when the event is in Kafka on all replicas, not before."""
    app = request.app
    settings = app[SETTINGS]
    sender = authenticate(request, app[TOKENS])
    encoding = check_head(request, settings.ingress_max_event_bytes)
    body = await read_body(request, encoding, settings.ingress_max_event_bytes, settings.ingress_body_timeout_seconds)
    arrival = Arrival(time.time_ns() // 1000, os.urandom(UUID7_RANDOM_BYTES), request.headers.get("traceparent"))
    record = wrap(parse_event(body), body, sender, arrival)
    await acknowledged(app[PRODUCER].publish(record), settings.ingress_deadline_seconds)
    EVENTS_ACCEPTED.inc()
    return answers.accepted(record.event_id, name)


async def expect_continue(request: web.Request) -> web.Response | None:
    """`Expect: 100-continue`: a body that would be refused is not asked for."""
    try:
        check_expectation(request)
        authenticate(request, request.app[TOKENS])
        check_head(request, request.app[SETTINGS].ingress_max_event_bytes)
    except (InvalidEvent, Unavailable) as error:
        return _refuse(request, error, answers.request_id(request))
    if request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp takes any output for the beginning of the answer.
        request.writer.output_size = 0
    return None


def unrouted(allowed: dict[str, tuple[str, ...]]) -> Callable[[web.Request, str], Awaitable[web.Response]]:
    """What remains when no route matches, by the methods of each path: another method, or another path."""

    async def act(request: web.Request, name: str) -> web.Response:
        methods = allowed.get(request.path)
        if methods is None:
            raise InvalidEvent(ErrorCode.NOT_FOUND, "There is nothing at this path; events go to POST /v1/event.")
        message = f"This path takes {' and '.join(methods)} only."
        answer = _refuse(request, InvalidEvent(ErrorCode.METHOD_NOT_ALLOWED, message), name)
        answer.headers[hdrs.ALLOW] = ", ".join(methods)
        return answer

    return act


def _refuse(request: web.Request, error: InvalidEvent | Unavailable, name: str) -> web.Response:
    if isinstance(error, InvalidEvent):
        EVENTS_REFUSED.labels(error.code).inc()
        answer = answers.refused(error, name)
    else:
        EVENTS_REFUSED.labels(ErrorCode.UNAVAILABLE).inc()
        answer = answers.unavailable(error, name)
    if not request.content.is_eof():
        # The rest of a body that nobody reads ends the connection.
        answer.force_close()
    return answer
