"""What the public routes do with a request."""

import os
import time

from aiohttp import web
from multidict import istr

from ingress import answers
from ingress.auth import TokenSnapshot
from ingress.envelope import UUID7_RANDOM_BYTES, Arrival, wrap
from ingress.producer import Producer
from ingress.requests import authenticate, check_head, continue_if_expected, read_body
from ingress.settings import IngressSettings
from schemas.events import parse_event
from schemas.metrics import EVENTS_ACCEPTED

# Looked up with each request: without letter case to be folded each time.
TRACEPARENT = istr("traceparent")


class Events:
    """The routes that take events."""

    def __init__(self, settings: IngressSettings, tokens: TokenSnapshot, producer: Producer) -> None:
        # Attributes of a pydantic model are slow to read; these are read with each request.
        self._max_bytes = settings.ingress_max_event_bytes
        self._body_timeout_seconds = settings.ingress_body_timeout_seconds
        self._deadline_seconds = settings.ingress_deadline_seconds
        self._tokens = tokens
        self._producer = producer

    async def post_event(self, request: web.BaseRequest, name: str) -> web.Response:
        """`POST /v1/event`: 200 when the event is in Kafka on all replicas, not before.

        Raises:
            InvalidEvent: where the request or its event can never be accepted.
            Unavailable: where the event was not acknowledged.
        """
        sender = authenticate(request, self._tokens)
        encoding = check_head(request, self._max_bytes)
        await continue_if_expected(request)
        body = await read_body(request, encoding, self._max_bytes, self._body_timeout_seconds)
        event = parse_event(body)
        arrival = Arrival(time.time_ns() // 1000, os.urandom(UUID7_RANDOM_BYTES), request.headers.get(TRACEPARENT))
        record = wrap(event, body, sender, arrival)
        await self._producer.publish(record).acknowledged(self._deadline_seconds)
        EVENTS_ACCEPTED.inc()
        return answers.accepted(record.event_id, name)
