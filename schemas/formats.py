"""The formats of an event, each a word in a raw record's header `format`; both ends of the raw topic read them here."""

from datetime import datetime
from typing import Protocol

import msgspec

from schemas import events, segment
from schemas.errors import ErrorCode, InvalidEvent


class Event(Protocol):
    """What every format says of an event."""

    @property
    def kind(self) -> str:
        """`event`, or the kind of call of the Segment family."""

    @property
    def event(self) -> str:
        """Its name."""

    @property
    def id(self) -> str | None:
        """The sender's own id."""

    @property
    def user_id(self) -> str | int | None:
        """Whose event it is."""

    @property
    def anonymous_id(self) -> str | int | None:
        """The same before anybody signed in."""

    @property
    def time(self) -> datetime | None:
        """When it happened, by the sender's clock."""

    @property
    def properties_json(self) -> str:
        """Free JSON as text, `{}` where there is none."""

    @property
    def context(self) -> msgspec.Raw:
        """More free JSON, as a slice of the body."""


class _Typed(msgspec.Struct, gc=False):
    type: str | None = None


_type_of = msgspec.json.Decoder(_Typed).decode


def parse(form: str, kind: str, body: bytes) -> Event:
    """Parse one event of a format; the kind is of account only where the format has several.

    Raises:
        InvalidEvent: where it is not of this format, or there is no such format or kind.
    """
    if form == events.FORMAT:
        return events.parse_event(body)
    if form != segment.FORMAT:
        raise InvalidEvent(ErrorCode.UNKNOWN_FORMAT, f"format must be {events.FORMAT} or {segment.FORMAT}.", "format")
    if kind not in segment.CALLS:
        raise InvalidEvent(ErrorCode.UNKNOWN_FORMAT, f"kind must be one of {', '.join(segment.CALLS)}.", "kind")
    return segment.parse_call(kind, body)


def parse_any(body: bytes) -> Event:
    """Parse an event of whichever format its member `type` says.

    Raises:
        InvalidEvent: where it is of none.
    """
    try:
        kind = _type_of(body).type
    except (msgspec.MsgspecError, RecursionError):
        # `event.v1` says what is wrong with it.
        kind = None
    return segment.parse_call(kind, body) if kind in segment.CALLS else events.parse_event(body)
