"""One event as the Live page shows it: what was sent, how far it has come, and when.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from schemas import topics

MAX_PAYLOAD_BYTES = 32 << 10

Headers = Mapping[str, bytes | None]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_NOTHING = msgspec.Raw(b"null")


class Place(NamedTuple):
    """Where the raw record is."""

    partition: int
    offset: int


class Seen(NamedTuple):
    """A record as the follower read it.

    Attributes:
        timestamp_ms: when the broker wrote it, since 1970.
        late: whether it was there before anybody looked: it is shown, and not counted.
    """

    partition: int
    offset: int
    timestamp_ms: int
    headers: Headers
    value: bytes | None
    late: bool = False


class Stages(msgspec.Struct, omit_defaults=True, rename="camel"):
    """When the event came so far, in milliseconds since 1970; None where it has not, or nobody saw it.

    It is 0 where it did before anybody looked.
    """

    accepted: int | None = None
    refused: int | None = None
    normalized: int | None = None
    dead_letter: int | None = None
    stored: int | None = None


class Fault(msgspec.Struct, omit_defaults=True):
    """Why an event was refused, or became a dead letter."""

    reason: str
    field: str | None
    detail: str


class Sent(msgspec.Struct, omit_defaults=True, rename="camel"):
    """What is known of the event itself.

    Attributes:
        id: the event id; None of a refused one.
        sender_id: the `id`, or `messageId`, that its sender gave it.
        payload: what was posted, at most MAX_PAYLOAD_BYTES; None where it is not known.
        cut: whether there was more.
        text: whether all of it was UTF-8.
        path: where a refused one was sent.
    """

    name: str = ""
    kind: str = ""
    user: str = ""
    id: str | None = None
    sender_id: str = ""
    token_id: str = ""
    partition: int | None = None
    offset: int | None = None
    payload: str | None = None
    cut: bool = False
    text: bool = True
    path: str | None = None
    request_id: str | None = None


@dataclass(slots=True)
class Entry:
    """One event of the ring.

    Attributes:
        key: names it for as long as its topic exists.
        serial: how many entries of its team came before it.
        changed: the feed's version at its last change.
        told: the feed's version when `sent` became what it is.
        late: whether nobody looked when it was normalized, so that nobody knows when it was stored.
    """

    key: str
    serial: int
    sent: Sent
    stages: Stages = field(default_factory=Stages)
    fault: Fault | None = None
    changed: int = 0
    told: int = 0
    late: bool = False

    @property
    def payload_bytes(self) -> int:
        """What it takes of the ring's memory, about."""
        return len(self.sent.payload or "")


class _Sketch(msgspec.Struct, rename="camel"):
    event: msgspec.Raw = _NOTHING
    type: msgspec.Raw = _NOTHING
    name: msgspec.Raw = _NOTHING
    user_id: msgspec.Raw = _NOTHING
    anonymous_id: msgspec.Raw = _NOTHING
    id: msgspec.Raw = _NOTHING
    message_id: msgspec.Raw = _NOTHING


_sketch = msgspec.json.Decoder(_Sketch).decode


def sent_of(record: Seen, place: Place) -> Sent:
    """What a raw record, or its dead letter, says of the event."""
    sent = describe(record.value)
    return msgspec.structs.replace(
        sent,
        kind=text(record.headers, topics.KIND) or sent.kind,
        id=text(record.headers, topics.EVENT_ID) or None,
        token_id=text(record.headers, topics.TOKEN_ID),
        partition=place.partition,
        offset=place.offset,
    )


def describe(value: bytes | None) -> Sent:
    """What the posted bytes say of themselves, whatever they are."""
    if value is None:
        return Sent()
    head = value[:MAX_PAYLOAD_BYTES]
    payload = head.decode(errors="replace")
    whole = payload.encode() == head
    try:
        sketch = _sketch(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        sketch = _Sketch()
    return Sent(
        name=_name(sketch.event) or _name(sketch.name),
        kind=_word(sketch.type),
        user=_word(sketch.user_id) or _word(sketch.anonymous_id),
        sender_id=_word(sketch.id) or _word(sketch.message_id),
        payload=payload,
        cut=len(value) > len(head),
        text=whole or len(value) > len(head),
    )


def text(headers: Headers, name: str) -> str:
    """A header's text; empty where it is not there."""
    return (headers.get(name) or b"").decode(errors="replace")


def milliseconds(headers: Headers, name: str) -> int | None:
    """The time in a header, since 1970; None where there is none that can be read."""
    try:
        return int(msgspec.convert(text(headers, name), _Time).timestamp() * 1000)
    except (msgspec.ValidationError, OverflowError, ValueError):
        return None


def _name(member: msgspec.Raw) -> str:
    """An event's name is a string, or it is none."""
    return _word(member) if bytes(member)[:1] == b'"' else ""


def _word(member: msgspec.Raw) -> str:
    try:
        found = msgspec.json.decode(member)
    except (msgspec.MsgspecError, RecursionError):
        return ""
    return str(found)[:200] if isinstance(found, str | int) and not isinstance(found, bool) else ""
