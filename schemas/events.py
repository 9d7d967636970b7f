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
from schemas.free_json import ABSENT, UNREADABLE, check_free, json_text, refusal

FORMAT = "event.v1"
KIND = "event"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# What ClickHouse's DateTime64(6) holds.
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2299, 12, 31, tzinfo=UTC)
_NAMESPACE = UUID("5b0c0d3e-7b3e-5f0a-9c58-0e6f6a1d2f11").bytes

MAX_SENDER_ID_CHARACTERS = 100

is_event_id = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII).fullmatch
"""Whether a text is one as it is written everywhere: a UUID with its dashes."""

EventName = Annotated[str, Meta(min_length=1, max_length=200)]
SenderId = Annotated[str, Meta(min_length=1, max_length=MAX_SENDER_ID_CHARACTERS)]


class EventV1(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """One event of format `event.v1`.  A member that is null counts as absent; unknown members are ignored here.

    `properties` and `context` are JSON objects, kept as they were written.
    """

    version: Literal[1]
    type: Literal["event"]
    event: EventName
    properties: msgspec.Raw = ABSENT
    timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    id: SenderId | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    context: msgspec.Raw = ABSENT

    @property
    def kind(self) -> str:
        """Whatever it is called, it is an event."""
        return self.type

    @property
    def time(self) -> datetime | None:
        """When it happened."""
        return self.timestamp

    @property
    def properties_json(self) -> str:
        """The properties as text."""
        return json_text(self.properties)


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


def parse_event(body: bytes) -> EventV1:
    """Parse and check one event.

    Raises:
        InvalidEvent: with the code and the member that its sender must mend.
    """
    try:
        event = _decode(body.decode())
        check_free(body, ("properties", event.properties), ("context", event.context))
    except UNREADABLE as error:
        raise refusal(error, _RULES) from error
    check_time(event.timestamp)
    return event


def check_time(timestamp: datetime | None) -> None:
    """A time lies where ClickHouse can keep it.

    Raises:
        InvalidEvent: where it does not.
    """
    if timestamp is not None and not _EARLIEST <= timestamp <= _LATEST:
        raise InvalidEvent(ErrorCode.INVALID_TIMESTAMP, "timestamp must lie between 1900 and 2299.", "timestamp")


def to_micros(time: datetime) -> int:
    """Microseconds since 1970, the unit of every time in a record."""
    return (time - _EPOCH) // _MICROSECOND


def derive_event_id(team: str, sender_id: str) -> UUID:
    """The event id of a sender's own `id`: a UUIDv5, the same for each retry and different for each team."""
    digest = sha1(_NAMESPACE + f"{team}/{sender_id}".encode(), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)
