"""The calls of the Segment family, format `segment.v1`: track, identify, page, screen, group and alias.

Each is accepted as those clients send it, and reads like any other event; a member that has no column of its own joins
the properties.
Source: Segment's HTTP tracking API and its common fields.
"""

from datetime import UTC, datetime
from typing import ClassVar

import msgspec

from schemas.events import EventName, SenderId, check_time
from schemas.free_json import ABSENT, UNREADABLE, check_free, json_text, refusal

FORMAT = "segment.v1"

_CAMEL = {
    "id": "messageId",
    "user_id": "userId",
    "anonymous_id": "anonymousId",
    "group_id": "groupId",
    "previous_id": "previousId",
    "sent_at": "sentAt",
}


class _Context(msgspec.Struct, gc=False):
    traits: msgspec.Raw = ABSENT


class Call(msgspec.Struct, frozen=True, kw_only=True, rename=_CAMEL, gc=False):
    """What all six have.  A member that is null counts as absent; unknown members are ignored here.

    Attributes:
        kind: what the path or the member `type` calls it.
        free_member: the one that holds free JSON, beside `context`.
        id: the sender's own, `messageId` in the body.
        sent_at: by the sender's clock; of a batch it stands beside the calls.
    """

    kind: ClassVar[str]
    free_member: ClassVar[str] = "properties"

    id: SenderId | None = None
    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    timestamp: datetime | None = None
    sent_at: str | None = None
    context: msgspec.Raw = ABSENT
    properties: msgspec.Raw = ABSENT
    traits: msgspec.Raw = ABSENT

    @property
    def event(self) -> str:
        """What analysts call it."""
        return self.kind

    @property
    def time(self) -> datetime | None:
        """When it happened; a time without a zone is UTC, as with Segment."""
        time = self.timestamp
        return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time

    @property
    def free(self) -> msgspec.Raw:
        """Properties, or traits."""
        free: msgspec.Raw = getattr(self, self.free_member)
        return free

    @property
    def properties_json(self) -> str:
        """Properties or traits as text."""
        return json_text(self.free)


class Track(Call, frozen=True, kw_only=True):
    """Something happened."""

    kind: ClassVar[str] = "track"
    name: EventName = msgspec.field(name="event")

    @property
    def event(self) -> str:
        """What analysts call it."""
        return self.name


class Page(Call, frozen=True, kw_only=True):
    """A page was seen."""

    kind: ClassVar[str] = "page"
    name: str | None = None
    category: str | None = None

    @property
    def event(self) -> str:
        """Its name, where it has one that fits."""
        return self.name if self.name and len(self.name) <= MAX_NAME_CHARACTERS else self.kind

    @property
    def properties_json(self) -> str:
        """The properties, with the name and the category."""
        return _joined({"name": self.name, "category": self.category}, self.free)


class Screen(Page, frozen=True, kw_only=True):
    """The same in an app."""

    kind: ClassVar[str] = "screen"


class Identify(Call, frozen=True, kw_only=True):
    """Who a user is."""

    kind: ClassVar[str] = "identify"
    free_member: ClassVar[str] = "traits"

    @property
    def properties_json(self) -> str:
        """The traits, which RudderStack's clients put into the context."""
        return json_text(_traits_of(self.context) if self.traits == ABSENT else self.traits)


class Group(Call, frozen=True, kw_only=True):
    """Which group a user belongs to."""

    kind: ClassVar[str] = "group"
    free_member: ClassVar[str] = "traits"
    group_id: str | int | None = None

    @property
    def properties_json(self) -> str:
        """The traits, with the group."""
        return _joined({"groupId": self.group_id}, self.free)


class Alias(Call, frozen=True, kw_only=True):
    """A user has another id."""

    kind: ClassVar[str] = "alias"
    free_member: ClassVar[str] = "traits"
    previous_id: str | int | None = None

    @property
    def properties_json(self) -> str:
        """The traits, with the id that was used before."""
        return _joined({"previousId": self.previous_id}, self.free)


CALLS: dict[str, type[Call]] = {call.kind: call for call in (Track, Identify, Page, Screen, Group, Alias)}
MAX_NAME_CHARACTERS = 200

_DECODE = {kind: msgspec.json.Decoder(call).decode for kind, call in CALLS.items()}
_decode_context = msgspec.json.Decoder(_Context).decode
_TEXT = "a string"
_RULES = {
    "event": "a string of 1 to 200 characters",
    "messageId": "a string of 1 to 100 characters",
    "userId": "a string or a whole number",
    "anonymousId": "a string or a whole number",
    "groupId": "a string or a whole number",
    "previousId": "a string or a whole number",
    "timestamp": "an ISO 8601 time, such as 2012-12-02T00:30:08.276Z",
    "sentAt": _TEXT,
    "name": _TEXT,
    "category": _TEXT,
}


def parse_call(kind: str, body: bytes) -> Call:
    """Parse and check one call; `kind` is one of CALLS.

    Raises:
        InvalidEvent: with the code and the member that its sender must mend.
    """
    try:
        call = _DECODE[kind](body.decode())
        check_free(body, (call.free_member, call.free), ("context", call.context))
    except UNREADABLE as error:
        raise refusal(error, _RULES) from error
    check_time(call.time)
    return call


def _traits_of(context: msgspec.Raw) -> msgspec.Raw:
    """The object `traits` in a context."""
    traits = ABSENT if context == ABSENT else _decode_context(context).traits
    return traits if bytes(traits)[:1] == b"{" else ABSENT


def _joined(members: dict[str, str | int | None], free: msgspec.Raw) -> str:
    """Free JSON as text with these members before its own, which stay as they were written."""
    text = json_text(free)
    present = {name: value for name, value in members.items() if value is not None}
    if not present:
        return text
    head, own = msgspec.json.encode(present).decode()[:-1], text[1:].lstrip()
    return f"{head}{own}" if own.startswith("}") else f"{head},{own}"
