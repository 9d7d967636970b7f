"""What the public routes do with a request: who sends it, what is in it, and 200 only when it is safe."""

import os
import re
import time
from collections import Counter
from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import hdrs, web
from multidict import istr

from ingress import answers, batch, cors
from ingress.answer import Answer
from ingress.auth import TokenSnapshot
from ingress.envelope import UUID7_RANDOM_BYTES, Arrival, Envelope, Sender, arrival
from ingress.producer import Producer
from ingress.refusals import REFUSED, Asked, Refusals
from ingress.requests import JSON, NDJSON, PLAIN, media_type, no_token, read_body, token_of, wrong_media_type
from ingress.server import Act
from ingress.settings import IngressSettings
from schemas.errors import ErrorCode, InvalidEvent, Unavailable
from schemas.events import check_time, parse_event
from schemas.formats import Event
from schemas.metrics import EVENTS_ACCEPTED, EVENTS_REFUSED
from schemas.segment import parse_call

RANDOM_BYTES = 4096
# Looked up with each request: without letter case to be folded each time.
TRACEPARENT = istr("traceparent")
SENDER = web.RequestKey("sender", Sender)
# The body, or the events that it was cut into, for who is told of a refusal.
SENT = web.RequestKey[bytes | list[batch.Item]]("sent")


class _Keyed(msgspec.Struct, gc=False):
    write_key: str | None = msgspec.field(default=None, name="writeKey")


_WRITE_KEY = re.compile(rb'"writeKey"\s*:\s*"([\w-]+)"')
_decode_keyed = msgspec.json.Decoder(_Keyed).decode
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Randomness:
    """Random bytes, read some thousands at a time: asking the operating system costs as much as parsing an event."""

    def __init__(self) -> None:
        self._bytes, self._at = b"", 0

    def take(self, count: int) -> bytes:
        """So many bytes that nobody else gets."""
        if self._at + count > len(self._bytes):
            self._bytes, self._at = os.urandom(max(count, RANDOM_BYTES)), 0
        self._at += count
        return self._bytes[self._at - count : self._at]


class Events:
    """The routes that take events."""

    def __init__(
        self, settings: IngressSettings, tokens: TokenSnapshot, producer: Producer, refusals: Refusals | None = None
    ) -> None:
        # Attributes of a pydantic model are slow to read; these are read with each request.
        self._max_event_bytes = settings.ingress_max_event_bytes
        self._max_batch_bytes = settings.ingress_max_batch_bytes
        self._max_batch_events = settings.ingress_max_batch_events
        self._body_timeout_seconds = settings.ingress_body_timeout_seconds
        self._deadline_seconds = settings.ingress_deadline_seconds
        self._tokens = tokens
        self._producer = producer
        self._refusals = refusals

    async def post_event(self, request: web.BaseRequest, name: str) -> Answer:
        """`POST /v1/event`.

        Raises:
            InvalidEvent: where the request or its event can never be accepted.
            RateLimited: where the team or the token has sent too many.
            Unavailable: where the event was not acknowledged.
        """
        sender = self._sender(request)
        if sender is None:
            raise no_token(in_body=False)
        if media_type(request) not in {JSON, PLAIN}:
            raise wrong_media_type((JSON,))
        body = request[SENT] = await read_body(request, self._max_event_bytes, self._body_timeout_seconds)
        sender.allowance.take(1, time.monotonic())
        return await self._publish(parse_event(body), body, sender, _arrival(request), name)

    def post_call(self, kind: str) -> Act:
        """`POST /v1/track` and its like, as the clients of the Segment family send them, whatever their Content-Type.

        Raises:
            InvalidEvent: where the request or its call can never be accepted.
            RateLimited: where the team or the token has sent too many.
            Unavailable: where the call was not acknowledged.
        """

        async def post(request: web.BaseRequest, name: str) -> Answer:
            sender = self._sender(request)
            body = request[SENT] = await read_body(request, self._max_event_bytes, self._body_timeout_seconds)
            if sender is None:
                sender, body = self._find_in_body(request, body)
            sender.allowance.take(1, time.monotonic())
            call = parse_call(kind, body)
            return await self._publish(call, body, sender, _arrival(request, call.sent_at), name)

        return post

    async def post_batch(self, request: web.BaseRequest, name: str) -> Answer:
        """`POST /v1/batch`: our events or the Segment family's calls, as NDJSON, or as JSON whatever the Content-Type.

        Raises:
            InvalidEvent: where the request can never be accepted; the faults of single events are in the answer.
            RateLimited: where the whole of it is more than the team or the token may send now.
            Unavailable: where no token is known yet.
        """
        sender, lines = self._sender(request), media_type(request) in NDJSON
        if lines and sender is None:
            raise no_token(in_body=False)
        body = request[SENT] = await read_body(request, self._max_batch_bytes, self._body_timeout_seconds)
        if sender is None:
            sender, body = self._find_in_body(request, body)
        items, sent_at = batch.split_lines(body) if lines else batch.split_array(body, self._max_batch_events)
        if len(items) > self._max_batch_events:
            message = f"A batch must not hold more than {self._max_batch_events} events; this one has {len(items)}."
            raise InvalidEvent(ErrorCode.TOO_MANY_EVENTS, message, "batch")
        request[SENT] = items
        sender.allowance.take(len(items), time.monotonic())
        found = batch.sort(items, sender, _arrival(request, sent_at, len(items)), self._max_event_bytes)
        outcomes = await self._publish_all(found)
        EVENTS_ACCEPTED.inc(sum(outcomes))
        for code, count in Counter(result.code for result in found.rejected).items():
            EVENTS_REFUSED.labels(code).inc(count)
        return answers.batch(found.results(outcomes), name)

    def finish(self, request: web.BaseRequest, answer: Answer) -> None:
        """Tell the sender what is left of its limit, and a browser whether its page may read the answer."""
        sender = request.get(SENDER)
        if sender is not None:
            sender.allowance.tell(answer.headers, time.monotonic())
            if self._refusals and answer.body.startswith(REFUSED):
                asked = Asked(request.path, answer.headers[answers.REQUEST_ID], request.get(SENT))
                self._refusals.note(sender, asked, answer.body, time.time())
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None:
            cors.tell(answer.headers, origin, self._tokens.origins if sender is None else sender.origins)

    async def _publish(self, event: Event, body: bytes, sender: Sender, arrival: Arrival, name: str) -> Answer:
        record = Envelope(sender, arrival).wrap(event, body)
        if error := await self._producer.publish(record).outcome(self._deadline_seconds):
            raise error
        EVENTS_ACCEPTED.inc()
        return answers.accepted(record.event_id, name)

    async def _publish_all(self, found: batch.Sorted) -> list[bool]:
        """Whether Kafka has each of the accepted records."""
        flushes = []
        try:
            for _, record in found.accepted:
                flushes.append(self._producer.publish(record))
        except Unavailable:
            # What was put in before goes its way; of the rest nothing is known, as of everything that is late.
            pass
        waiting = {flush: flush.outcome(self._deadline_seconds) for flush in set(flushes)}
        acknowledged = {flush: await outcome is None for flush, outcome in waiting.items()}
        known = [acknowledged[flush] for flush in flushes]
        return known + [False] * (len(found.accepted) - len(known))

    def _sender(self, request: web.BaseRequest) -> Sender | None:
        """Who sends, by the request's head; None where there is no token in it."""
        token = token_of(request)
        return None if token is None else self._find(request, token)

    def _find_in_body(self, request: web.BaseRequest, body: bytes) -> tuple[Sender, bytes]:
        """Who sends, by the body's writeKey; and the body without it, since others read the raw topic."""
        try:
            token = _decode_keyed(body).write_key
        except (msgspec.MsgspecError, RecursionError):
            # One event of a batch may be no JSON, and the others are still somebody's.
            token = found[-1].decode() if (found := _WRITE_KEY.findall(body)) else None
        if not token:
            raise no_token(in_body=True)
        secret = token.encode()
        return self._find(request, token), body.replace(secret, b"*" * len(secret))

    def _find(self, request: web.BaseRequest, token: str) -> Sender:
        sender = request[SENDER] = self._tokens.find(token, time.time())
        cors.check(request.headers.get(hdrs.ORIGIN), sender.origins, sender.team)
        return sender


_randomness = _Randomness()


def _arrival(request: web.BaseRequest, sent_at: str | None = None, events: int = 1) -> Arrival:
    return arrival(
        time.time_ns() // 1000,
        _randomness.take(UUID7_RANDOM_BYTES * events),
        _time(sent_at),
        request.headers.get(TRACEPARENT),
    )


def _time(text: str | None) -> datetime | None:
    """When the sender says that it sent; None where that cannot be read, since nothing depends on it but the clock."""
    if text is None:
        return None
    try:
        time = msgspec.convert(text, _Time)
        check_time(time)
    except (msgspec.ValidationError, InvalidEvent):
        return None
    return time
