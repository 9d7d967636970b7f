"""From an accepted event to its raw record.  Pure: no I/O, time and randomness are arguments.

Invariant: the record's value is the body, or its slice of a batch, byte for byte.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from schemas import events, segment, topics
from schemas.events import derive_event_id
from schemas.formats import Event
from schemas.topics import Headers

UUID7_RANDOM_BYTES = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_EVENT_V1 = ((topics.FORMAT, events.FORMAT.encode()),)
_CALLS = {kind: ((topics.FORMAT, segment.FORMAT.encode()), (topics.KIND, kind.encode())) for kind in segment.CALLS}


@dataclass(frozen=True, slots=True)
class Sender:
    """Who posts with a token.

    Attributes:
        enabled: whether the team's Events API is on.
        expires_at: seconds since 1970, infinite where the token does not expire.
        headers: what each of its records carries; made once for all of them.
    """

    team: str
    token_id: str
    enabled: bool
    expires_at: float
    headers: tuple[tuple[str, bytes], ...]


class Arrival(NamedTuple):
    """How a request came.

    Attributes:
        milliseconds: when it had been read, since 1970.
        random: UUID7_RANDOM_BYTES of randomness for each event's id.
        headers: what each of its records carries; made once for all of them.
    """

    milliseconds: int
    random: bytes
    headers: tuple[tuple[str, bytes], ...]


class RawRecord(NamedTuple):
    """One record of the raw topic; its partition follows from the key."""

    event_id: str
    key: bytes
    value: bytes
    headers: Headers


def sender(team: str, token_id: str, *, enabled: bool, expires_at: float) -> Sender:
    """The sender of one token."""
    headers = ((topics.TEAM, team.encode()), (topics.TOKEN_ID, token_id.encode()))
    return Sender(team, token_id, enabled, expires_at, headers)


def arrival(micros: int, random: bytes, sent_at: datetime | None = None, traceparent: str | None = None) -> Arrival:
    """The arrival of a request; `micros` since 1970, the others as the sender said, where it did."""
    received_at = (_EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds")
    headers = [(topics.RECEIVED_AT, received_at.encode())]
    if sent_at is not None:
        headers.append((topics.SENT_AT, sent_at.isoformat().encode()))
    if traceparent is not None and _TRACEPARENT.fullmatch(traceparent):
        headers.append((topics.TRACEPARENT, traceparent.encode()))
    return Arrival(micros // 1000, random, tuple(headers))


def wrap(event: Event, value: bytes, sender: Sender, arrival: Arrival, number: int = 0) -> RawRecord:
    """The raw record of an event that was parsed from this value, the so-manieth of its request.

    A sender's own `id` always gives the same event id; otherwise it is minted from time and randomness.
    """
    if event.id is None:
        at = number * UUID7_RANDOM_BYTES
        event_id = uuid7(arrival.milliseconds, arrival.random[at : at + UUID7_RANDOM_BYTES])
    else:
        event_id = str(derive_event_id(sender.team, event.id))
    key = f"{sender.team}/{event_id if event.user_id in {None, ''} else event.user_id}".encode()
    form = _CALLS.get(event.kind, _EVENT_V1)
    return RawRecord(
        event_id, key, value, [(topics.EVENT_ID, event_id.encode()), *sender.headers, *form, *arrival.headers]
    )


def uuid7(milliseconds: int, random: bytes) -> str:
    """The text of a UUIDv7: ids that are made later sort later, to the millisecond (RFC 9562, 5.7)."""
    time, digits = f"{milliseconds:012x}", random.hex()
    variant = "89ab"[random[1] >> 4 & 3]
    return f"{time[:8]}-{time[8:]}-7{digits[:3]}-{variant}{digits[4:7]}-{digits[7:19]}"
