"""What the public routes do with a request: who sends it, what is in it, and 200 only when it is safe."""

import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import hdrs
from multidict import istr

from ingress import answers, batch, cors
from ingress.answer import Answer
from ingress.auth import TokenSnapshot
from ingress.delivery import Delivery
from ingress.envelope import UUID7_RANDOM_BYTES, Arrival, Envelope, Sender, arrival
from ingress.flush import Flush, Outcome
from ingress.intake import Admit, Intake, Take
from ingress.producer import Producer
from ingress.refusals import REFUSED, Asked, Refusals
from ingress.request import Request
from ingress.requests import JSON, NDJSON, PLAIN, media_type, no_token, token_of, wrong_media_type
from ingress.settings import IngressSettings
from ingress.tally import Tally
from schemas.errors import ErrorCode, InvalidEvent, Unavailable
from schemas.events import check_time, parse_event
from schemas.formats import Event
from schemas.metrics import EVENTS_ACCEPTED, EVENTS_REFUSED
from schemas.segment import parse_call

RANDOM_BYTES = 4096
# Looked up with each request: without letter case to be folded each time.
TRACEPARENT = istr("traceparent")


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
        self._accepted = Tally[int](lambda counts: EVENTS_ACCEPTED.inc(sum(counts)))

    def event_intake(self) -> Intake:
        """`POST /v1/event`."""
        return self._intake(self._admit_event, self._take_event, self._max_event_bytes)

    def call_intake(self, kind: str) -> Intake:
        """`POST /v1/track` and its like, as the Segment family's clients send them, whatever their Content-Type."""

        def take(request: Request, body: bytes, name: str) -> Delivery:
            sender, body = self._found(request, body)
            sender.allowance.take(1, time.monotonic())
            call = parse_call(kind, body)
            return self._publish(call, body, sender, _arrival(request, call.sent_at), name)

        return self._intake(self._admit, take, self._max_event_bytes)

    def batch_intake(self) -> Intake:
        """`POST /v1/batch`: events or the Segment family's calls, as NDJSON, or as JSON whatever the Content-Type."""
        return self._intake(self._admit_batch, self._take_batch, self._max_batch_bytes)

    def finish(self, request: Request, answer: Answer) -> None:
        """Tell the sender what is left of its limit, and a browser whether its page may read the answer."""
        sender = request.sender
        if sender is not None:
            sender.allowance.tell(answer.headers, time.monotonic())
            if self._refusals and answer.body.startswith(REFUSED):
                asked = Asked(request.path, answer.headers[answers.REQUEST_ID], request.sent)
                self._refusals.note(sender, asked, answer.body, time.time())
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None:
            cors.tell(answer.headers, origin, self._tokens.origins if sender is None else sender.origins)

    def _intake(self, admit: Admit, take: Take, max_body_bytes: int) -> Intake:
        return Intake(admit, take, max_body_bytes, self._body_timeout_seconds, self._deadline_seconds)

    def _admit_event(self, request: Request) -> None:
        if self._sender(request) is None:
            raise no_token(in_body=False)
        if media_type(request) not in {JSON, PLAIN}:
            raise wrong_media_type((JSON,))

    def _take_event(self, request: Request, body: bytes, name: str) -> Delivery:
        sender = request.sender
        assert sender is not None, "admitted"  # noqa: S101 - the order of calls, not an input
        sender.allowance.take(1, time.monotonic())
        return self._publish(parse_event(body), body, sender, _arrival(request), name)

    def _admit(self, request: Request) -> None:
        self._sender(request)

    def _admit_batch(self, request: Request) -> None:
        if self._sender(request) is None and media_type(request) in NDJSON:
            raise no_token(in_body=False)

    def _take_batch(self, request: Request, body: bytes, name: str) -> Delivery:
        """Refuses all where the body as such is at fault; the faults of single events are in the answer."""
        lines = media_type(request) in NDJSON
        sender, body = self._found(request, body)
        items, sent_at = batch.split_lines(body) if lines else batch.split_array(body, self._max_batch_events)
        if len(items) > self._max_batch_events:
            message = f"A batch must not hold more than {self._max_batch_events} events; this one has {len(items)}."
            raise InvalidEvent(ErrorCode.TOO_MANY_EVENTS, message, "batch")
        request.sent = items
        sender.allowance.take(len(items), time.monotonic())
        found = batch.sort(items, sender, _arrival(request, sent_at, len(items)), self._max_event_bytes)
        for code, count in Counter(result.code for result in found.rejected).items():
            EVENTS_REFUSED.labels(code).inc(count)
        flushes = self._publish_all(found)

        def conclude(outcomes: Mapping[Flush, Outcome]) -> Answer:
            known = [outcomes[flush] is None for flush in flushes]
            self._accepted.add(sum(known))
            # Of what was not published nothing is known, as of everything that is late.
            return answers.batch(found.results(known + [False] * (len(found.accepted) - len(known))), name)

        return Delivery(flushes, conclude)

    def _publish(self, event: Event, body: bytes, sender: Sender, arrival: Arrival, name: str) -> Delivery:
        record = Envelope(sender, arrival).wrap(event, body, partition=self._producer.sticky())
        flush = self._producer.publish(record)

        def conclude(outcomes: Mapping[Flush, Outcome]) -> Answer:
            if error := outcomes[flush]:
                raise error
            self._accepted.add(1)
            return answers.accepted(record.event_id, name)

        return Delivery((flush,), conclude)

    def _publish_all(self, found: batch.Sorted) -> list[Flush]:
        """What the accepted records go out with, in order; of fewer of them, where too much waits for Kafka."""
        flushes = list[Flush]()
        with suppress(Unavailable):
            for _, record in found.accepted:
                flushes.append(self._producer.publish(record))
        return flushes

    def _sender(self, request: Request) -> Sender | None:
        """Who sends, by the request's head; None where there is no token in it."""
        token = token_of(request)
        return None if token is None else self._find(request, token)

    def _found(self, request: Request, body: bytes) -> tuple[Sender, bytes]:
        """Who sends, by the head where it says so, else by the body, which then comes without the token."""
        sender = request.sender
        return (sender, body) if sender else self._find_in_body(request, body)

    def _find_in_body(self, request: Request, body: bytes) -> tuple[Sender, bytes]:
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

    def _find(self, request: Request, token: str) -> Sender:
        sender = request.sender = self._tokens.find(token, time.time())
        cors.check(request.headers.get(hdrs.ORIGIN), sender.origins, sender.team)
        return sender


_randomness = _Randomness()


def _arrival(request: Request, sent_at: str | None = None, events: int = 1) -> Arrival:
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
