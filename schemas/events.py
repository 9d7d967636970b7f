"""The event as its sender wrote it, format `event.v1`: what is accepted, and why the rest is not.

Ingress and stream parse with the same function, so that an event which was answered with 200 can be normalized.
Members that carry free JSON stay exact slices of the body; no number is ever re-written.
"""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.errors import ErrorCode, InvalidEvent

FORMAT = "event.v1"
MAX_DEPTH = 64
EMPTY_OBJECT = "{}"
ABSENT = msgspec.Raw(b"null")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# What ClickHouse's DateTime64(6) holds.
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2299, 12, 31, tzinfo=UTC)
_NAMESPACE = UUID("5b0c0d3e-7b3e-5f0a-9c58-0e6f6a1d2f11").bytes


class EventV1(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """One event of format `event.v1`.  A member that is null counts as absent; unknown members are ignored here.

    `properties` and `context` are JSON objects, kept as text.
    """

    version: Literal[1]
    type: Literal["event"]
    event: Annotated[str, Meta(min_length=1, max_length=200)]
    properties: msgspec.Raw = ABSENT
    timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    id: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    context: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(EventV1).decode

_RULES = {
    "version": "the number 1",
    "type": 'the string "event"',
    "event": "a string of 1 to 200 characters",
    "properties": "an object",
    "timestamp": "an RFC 3339 time with a zone, such as 2012-12-02T00:30:08.276Z",
    "id": "a string of 1 to 100 characters",
    "userId": "a string",
    "anonymousId": "a string",
    "context": "an object",
}
_AT = re.compile(r" - at `\$\.?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")


def parse_event(body: bytes) -> EventV1:
    """Parse and check one event.

    Raises:
        InvalidEvent: with the code and the member that its sender must mend.
    """
    try:
        event = _decode(body.decode())
        for field, json in (("properties", event.properties), ("context", event.context)):
            if json != ABSENT:
                _check_object(field, bytes(json))
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEvent(ErrorCode.INVALID_JSON, f"The body must be JSON in UTF-8: {error}.") from error
    except RecursionError as error:
        raise _too_deep(None) from error
    if event.timestamp is not None and not _EARLIEST <= event.timestamp <= _LATEST:
        raise InvalidEvent(ErrorCode.INVALID_TIMESTAMP, "timestamp must lie between 1900 and 2299.", "timestamp")
    return event


def json_text(member: msgspec.Raw) -> str:
    """The text of a free-form member, `{}` where it is absent."""
    return EMPTY_OBJECT if member == ABSENT else bytes(member).decode()


def to_micros(time: datetime) -> int:
    """Microseconds since 1970, the unit of every time in a record."""
    return (time - _EPOCH) // _MICROSECOND


def derive_event_id(team: str, sender_id: str) -> UUID:
    """The event id of a sender's own `id`: a UUIDv5, the same for each retry and different for each team."""
    digest = sha1(_NAMESPACE + f"{team}/{sender_id}".encode(), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


def _check_object(field: str, json: bytes) -> None:
    """Free JSON is an object, no deeper than MAX_DEPTH, and holds only what ClickHouse can read as well."""
    if json[:1] != b"{":
        raise InvalidEvent(ErrorCode.WRONG_TYPE, f"{field} must be {_RULES[field]}.", field)
    if json.count(b"{") + json.count(b"[") > MAX_DEPTH and _depth(json) > MAX_DEPTH:
        raise _too_deep(field)
    try:
        msgspec.json.decode(json)
    except msgspec.ValidationError as error:
        message = f"{field} holds a number beyond the range of a double."
        raise InvalidEvent(ErrorCode.INVALID_VALUE, message, field) from error


def _depth(json: bytes) -> int:
    """How deep objects and arrays nest in well-formed JSON."""
    deepest = depth = 0
    for bracket in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", json):
        if bracket in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif bracket in b"}]":
            depth -= 1
    return deepest


def _too_deep(field: str | None) -> InvalidEvent:
    where = field or "The body"
    return InvalidEvent(ErrorCode.TOO_DEEP, f"{where} must not nest deeper than {MAX_DEPTH} levels.", field)


def _explain(problem: str) -> InvalidEvent:
    """Translate msgspec's words into a code, a field and an instruction."""
    if missing := _MISSING.search(problem):
        field = missing[1]
        return InvalidEvent(ErrorCode.MISSING_MEMBER, f"{field} is missing: it must be {_RULES[field]}.", field)
    at = _AT.search(problem)
    field = at[1] if at else ""
    if field not in _RULES:
        return InvalidEvent(ErrorCode.WRONG_TYPE, "The body must be one JSON object.")
    code = ErrorCode.INVALID_VALUE
    if field == "timestamp" and "got" not in problem:
        code = ErrorCode.INVALID_TIMESTAMP
    elif ", got " in problem:
        code = ErrorCode.WRONG_TYPE
    return InvalidEvent(code, f"{field} must be {_RULES[field]}.", field)
