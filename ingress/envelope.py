"""From an accepted event to its raw record.  Pure: no I/O, time and randomness are arguments.

Invariant: the record's value is the body, or its slice of a batch, byte for byte.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec

from ingress.limits import Allowance
from ingress.sticky import Partition
from schemas import events, segment, topics
from schemas.errors import ErrorCode, InvalidEvent
from schemas.events import derive_event_id
from schemas.formats import Event
from schemas.topics import Headers, key_in

UUID7_RANDOM_BYTES = 9
_NO_LIMIT = Allowance()
_ENDINGS = [b"%02x" % number for number in range(256)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_FORMATS: dict[str, tuple[tuple[str, bytes], ...]] = {
    "event": ((topics.FORMAT, events.FORMAT.encode()),),
    **{kind: ((topics.FORMAT, segment.FORMAT.encode()), (topics.KIND, kind.encode())) for kind in segment.CALLS},
}


@dataclass(frozen=True, slots=True)
class Sender:
    """Who posts with a token.

    Attributes:
        enabled: whether the team's Events API is on.
        expires_at: seconds since 1970, infinite where the token does not expire.
        write_only: whether the token is public: it may send events, and learn nothing of them.
        origins: of the web pages that may send with it, as browsers write them.
        event_names: of the events that it may send; empty for all.
        allowance: how many events it may send.
        headers: what each of its records carries; made once for all of them.
    """

    team: str
    token_id: str
    enabled: bool
    expires_at: float
    write_only: bool
    origins: frozenset[str]
    event_names: frozenset[str]
    allowance: Allowance
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


class RawRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record of the raw topic; its partition follows from the key."""

    event_id: str
    key: bytes
    value: bytes
    headers: Headers


def sender(  # noqa: PLR0913 - what a token is
    team: str,
    token_id: str,
    *,
    enabled: bool,
    expires_at: float,
    write_only: bool = False,
    origins: frozenset[str] = frozenset(),
    event_names: frozenset[str] = frozenset(),
    allowance: Allowance = _NO_LIMIT,
) -> Sender:
    """The sender of one token."""
    headers = ((topics.TEAM, team.encode()), (topics.TOKEN_ID, token_id.encode()))
    return Sender(team, token_id, enabled, expires_at, write_only, origins, event_names, allowance, headers)


def arrival(micros: int, random: bytes, sent_at: datetime | None = None, traceparent: str | None = None) -> Arrival:
    """The arrival of a request; `micros` since 1970, the others as the sender said, where it did."""
    seconds, rest = divmod(micros, 1_000_000)
    headers = [(topics.RECEIVED_AT, b"%b.%06d+00:00" % (_second(seconds), rest))]
    if sent_at is not None:
        headers.append((topics.SENT_AT, sent_at.isoformat().encode()))
    if traceparent is not None and _TRACEPARENT.fullmatch(traceparent):
        headers.append((topics.TRACEPARENT, traceparent.encode()))
    return Arrival(micros // 1000, random, tuple(headers))


# Many requests come within the same one.
@lru_cache(maxsize=4)
def _second(seconds: int) -> bytes:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19].encode()


class Envelope:
    """Makes the raw records of one request."""

    def __init__(self, sender: Sender, arrival: Arrival) -> None:
        self._team, self._event_names = sender.team, sender.event_names
        self._sender_headers, self._arrival_headers = sender.headers, arrival.headers
        self._headers: dict[str, Headers] = {}
        time = f"{arrival.milliseconds:012x}"
        self._time, self._random = f"{time[:8]}-{time[8:]}-7", arrival.random.hex()

    def wrap(self, event: Event, value: bytes, number: int = 0, partition: Partition | None = None) -> RawRecord:
        """The raw record of an event that was parsed from this value; `number` is its place in the request.

        A sender's own `id` always gives the same event id; otherwise it is minted from time and randomness.  Where
        the key is made of a minted one, that is one by which the record goes into the partition.

        Raises:
            InvalidEvent: where its token may not send events of this name.
        """
        if self._event_names and event.event not in self._event_names:
            message = f"This token may not send {event.event!r}: an Owner of {self._team} says what it may."
            raise InvalidEvent(ErrorCode.EVENT_OUT_OF_SCOPE, message, "event")
        event_id = self._uuid7(number) if event.id is None else str(derive_event_id(self._team, event.id))
        user = event.user_id
        if user is not None and user != "":
            key = f"{self._team}/{user}".encode()
        elif event.id is None and partition is not None:
            key = key_in(*partition, f"{self._team}/{event_id[:-2]}".encode(), _ENDINGS)
            event_id = key[-len(event_id) :].decode()
        else:
            key = f"{self._team}/{event_id}".encode()
        headers = self._headers.get(event.kind)
        if headers is None:
            headers = self._headers[event.kind] = [*self._sender_headers, *_FORMATS[event.kind], *self._arrival_headers]
        return RawRecord(event_id, key, value, [(topics.EVENT_ID, event_id.encode()), *headers])

    def _uuid7(self, number: int) -> str:
        """The text of a UUIDv7: ids that are made later sort later, to the millisecond (RFC 9562, 5.7).

        Of the digit that holds the variant, two bits might be random; they are not, so that none has to be looked at.
        """
        at = number * 2 * UUID7_RANDOM_BYTES
        digits = self._random[at : at + 2 * UUID7_RANDOM_BYTES]
        return f"{self._time}{digits[:3]}-8{digits[3:6]}-{digits[6:]}"
