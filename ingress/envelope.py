"""From an accepted event to its raw record.  Pure: no I/O, time and randomness are arguments.

Invariant: the record's value is the body, byte for byte.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from schemas import topics
from schemas.events import FORMAT, EventV1, derive_event_id
from schemas.topics import Headers

UUID7_RANDOM_BYTES = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


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
        micros: when it had been read, in microseconds since 1970.
        random: UUID7_RANDOM_BYTES of randomness for the event id.
        traceparent: the header as sent; it goes on where it is well-formed.
    """

    micros: int
    random: bytes
    traceparent: str | None = None


class RawRecord(NamedTuple):
    """One record of the raw topic; its partition follows from the key."""

    event_id: str
    key: bytes
    value: bytes
    headers: Headers


def sender(team: str, token_id: str, *, enabled: bool, expires_at: float) -> Sender:
    """The sender of one token."""
    headers = ((topics.TEAM, team.encode()), (topics.TOKEN_ID, token_id.encode()), (topics.FORMAT, FORMAT.encode()))
    return Sender(team, token_id, enabled, expires_at, headers)


def wrap(event: EventV1, body: bytes, sender: Sender, arrival: Arrival) -> RawRecord:
    """The raw record of an event that `parse_event` read from this body.

    A sender's own `id` always gives the same event id; otherwise it is minted from time and randomness.
    """
    if event.id is None:
        event_id = uuid7(arrival.micros // 1000, arrival.random)
    else:
        event_id = str(derive_event_id(sender.team, event.id))
    received_at = (_EPOCH + timedelta(microseconds=arrival.micros)).isoformat(timespec="microseconds")
    headers = [
        (topics.EVENT_ID, event_id.encode()),
        *sender.headers,
        (topics.RECEIVED_AT, received_at.encode()),
    ]
    if arrival.traceparent is not None and _TRACEPARENT.fullmatch(arrival.traceparent):
        headers.append((topics.TRACEPARENT, arrival.traceparent.encode()))
    return RawRecord(event_id, f"{sender.team}/{event.user_id or event_id}".encode(), body, headers)


def uuid7(milliseconds: int, random: bytes) -> str:
    """The text of a UUIDv7: ids that are made later sort later, to the millisecond (RFC 9562, 5.7)."""
    time, digits = f"{milliseconds:012x}", random.hex()
    variant = "89ab"[random[1] >> 4 & 3]
    return f"{time[:8]}-{time[8:]}-7{digits[:3]}-{variant}{digits[4:7]}-{digits[7:19]}"
