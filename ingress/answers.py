"""What the public listener answers with: one shape for every success and every refusal."""

import re
import secrets
from collections.abc import Mapping
from itertools import count

import msgspec
from aiohttp import hdrs, web
from multidict import istr

from ingress.answer import NO_CONTENT, Answer
from ingress.batch import Result, Status
from ingress.limits import RateLimited
from ingress.receipts.receipt import Receipt
from schemas.errors import ErrorCode, InvalidEvent, Unavailable

RETRY_AFTER_SECONDS = 1
REQUEST_ID = istr("X-Request-Id")

# A random number for each would cost a call of the operating system.
_OURS, _numbers = secrets.token_hex(5), count()
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
# aiohttp would name itself and its version.
_SERVER = {"Server": "events-api"}
_HEADERS = {"Content-Type": "application/json", **_SERVER}


Refusal = InvalidEvent | RateLimited | Unavailable
REFUSALS = (InvalidEvent, RateLimited, Unavailable)


class RefusalAnswer(msgspec.Struct, omit_defaults=True):
    """The body of every answer that is not a success."""

    success: bool
    code: str
    message: str
    request_id: str
    field: str | None = None
    results: list[Result] | None = None


class BatchAnswer(msgspec.Struct):
    """The body of the answer to a batch of which something was accepted.

    Attributes:
        success: whether all of it was.
    """

    success: bool
    results: list[Result]


def request_id(request: web.BaseRequest) -> str:
    """The name of this request: the one that a proxy or the client gave it, where it is plain, else a new one."""
    given = request.headers.get(REQUEST_ID)
    return given if given and _REQUEST_ID.fullmatch(given) else f"{_OURS}{next(_numbers):06x}"


def accepted(event_id: str, name: str) -> Answer:
    """The event is in Kafka, on all replicas, or synced in the spill."""
    body = b'{"success":true,"id":"%s"}' % event_id.encode()
    return Answer(200, body, {**_HEADERS, REQUEST_ID: name})


def batch(results: list[Result], name: str) -> Answer:
    """What became of each event: 503 where that is not known of all, a refusal where all are rejected, else 200."""
    statuses = {result.status for result in results}
    if Status.UNKNOWN in statuses:
        message = "Kafka has not acknowledged all events in time: send those again with the same ids."
        return _answer(ErrorCode.UNAVAILABLE, message, name, results=results)
    if statuses == {Status.REJECTED}:
        first = results[0]
        message = f"No event was accepted.  The first: {first.message}"
        return _answer(first.code or ErrorCode.BAD_REQUEST, message, name, field=first.field, results=results)
    body = msgspec.json.encode(BatchAnswer(Status.REJECTED not in statuses, results))
    return Answer(200, body, {**_HEADERS, REQUEST_ID: name})


def receipt(found: Receipt, name: str) -> Answer:
    """Where an event is; nobody on the way keeps it, since the next answer may be another."""
    headers = {**_HEADERS, REQUEST_ID: name, "Cache-Control": "no-store"}
    return Answer(200, msgspec.json.encode(found), headers)


def refused(refusal: Refusal, name: str) -> Answer:
    """Why the request cannot succeed: never, not now, or, where it is unavailable, perhaps it did."""
    if isinstance(refusal, InvalidEvent):
        return _answer(refusal.code, refusal.message, name, field=refusal.field)
    answer = _answer(refusal.code, str(refusal), name)
    if isinstance(refusal, RateLimited):
        answer.headers[hdrs.RETRY_AFTER] = str(refusal.retry_after_seconds)
    return answer


def done(name: str) -> Answer:
    """What was asked for has happened."""
    return Answer(200, b'{"success":true}', {**_HEADERS, REQUEST_ID: name})


def nothing(headers: Mapping[str, str], name: str) -> Answer:
    """An answer that is all in its head."""
    return Answer(NO_CONTENT, b"", {**_SERVER, **headers, REQUEST_ID: name})


def document(body: bytes, name: str) -> Answer:
    """A JSON document that is ready."""
    return Answer(200, body, {**_HEADERS, REQUEST_ID: name})


def told(status: int, facts: dict[str, bool], name: str) -> Answer:
    """The answer of a health route."""
    return Answer(status, msgspec.json.encode(facts), {**_HEADERS, REQUEST_ID: name})


def _answer(
    code: ErrorCode, message: str, name: str, field: str | None = None, results: list[Result] | None = None
) -> Answer:
    refusal = RefusalAnswer(
        success=False, code=code.value, message=message, request_id=name, field=field, results=results
    )
    headers = {**_HEADERS, REQUEST_ID: name}
    if code is ErrorCode.UNAVAILABLE:
        headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_SECONDS)
    return Answer(code.status, msgspec.json.encode(refusal), headers)
