"""Bodies that hold several events, and the answer that tells what became of each.  Pure.

Invariant: an event's value is its exact slice of the body, and no event suffers from another's fault.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import msgspec

from ingress.body import too_large
from ingress.envelope import Arrival, Envelope, RawRecord, Sender
from schemas.errors import ErrorCode, InvalidEvent
from schemas.formats import parse_any
from schemas.free_json import UNREADABLE, unreadable

Item = tuple[int, bytes]
"""An event's place in the body and its exact slice of it."""


class _Batch(msgspec.Struct, frozen=True, gc=False):
    batch: list[msgspec.Raw]
    sent_at: str | None = msgspec.field(default=None, name="sentAt")


class Status(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"
    """It is in Kafka, on all replicas, or synced in the spill."""
    REJECTED = "rejected"
    """It can never be accepted as it is."""
    UNKNOWN = "unknown"
    """Kafka did not acknowledge it in time: send it again with the same id."""


class Result(msgspec.Struct, omit_defaults=True, gc=False):
    """One event's part of the answer.

    Attributes:
        index: its place in the batch, from 0; of NDJSON the number of its line, from 0.
    """

    index: int
    status: Status
    id: str | None = None
    code: ErrorCode | None = None
    message: str | None = None
    field: str | None = None


_decode = msgspec.json.Decoder(_Batch).decode
# A string need not end: else each quote in one that does not would be tried to its end.
_MARKS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{\]},]', re.DOTALL)
_OPENING, _CLOSING = frozenset({b"[", b"{"}), frozenset({b"]", b"}"})


def split_array(body: bytes, max_events: int) -> tuple[list[Item], str | None]:
    """The events of a JSON body, and when it was sent, where its sender says so.

    Raises:
        InvalidEvent: where it is no object with an array `batch`.
    """
    try:
        # What is not looked into here may hold anything, so the whole is checked to be UTF-8.
        found = _decode(body.decode())
    except msgspec.ValidationError as error:
        message = 'The body must be {"batch": [event, …]}, and sentAt a string where it is there.'
        raise InvalidEvent(ErrorCode.WRONG_TYPE, message, "batch") from error
    except UNREADABLE as error:
        if (cut := _cut(body, max_events)) is None:
            raise unreadable(error) from error
        return cut
    return [(index, bytes(item)) for index, item in enumerate(found.batch)], found.sent_at


def _cut(body: bytes, max_events: int) -> tuple[list[Item], str | None] | None:
    """The events of a body in which some are no JSON, or nest too deep; None where the fault is around them.

    Clients in Python write NaN, for one: what is wrong with that event must not cost the others.
    """
    commas = _commas(body, max_events)
    if not commas:
        return None
    try:
        around = _decode((body[: commas[0] + 1] + body[commas[-1] :]).decode())
    except UNREADABLE:
        return None
    items = [body[start + 1 : end].strip() for start, end in pairwise(commas)]
    return None if around.batch else (list(enumerate(items)), around.sent_at)


def _commas(body: bytes, max_events: int) -> list[int]:
    """Where the array `batch` begins, where the commas between its events are, and where it ends; empty without one."""
    depth, name, commas = 0, b"", list[int]()
    for mark in _MARKS.finditer(body):
        sign = mark[0]
        if sign in _OPENING:
            depth += 1
            if depth == 2 and sign == b"[" and name == b'"batch"':
                commas.append(mark.start())
        elif sign in _CLOSING:
            depth -= 1
            if depth == 1 and commas:
                return [*commas, mark.start()]
        elif sign == b",":
            if depth == 2 and commas:
                commas.append(mark.start())
                if len(commas) > max_events:
                    return []
        elif depth == 1:
            name = sign
    return []


def split_lines(body: bytes) -> tuple[list[Item], None]:
    """The events of an NDJSON body, which has no place to say when it was sent; blank lines count, but hold none."""
    return [(number, line) for number, line in enumerate(body.split(b"\n")) if line.strip()], None


@dataclass(slots=True)
class Sorted:
    """The events of one body: those that may go to Kafka, and what is wrong with the others.

    Attributes:
        accepted: records with their index, in the order of the body.
    """

    accepted: list[tuple[int, RawRecord]]
    rejected: list[Result]

    def results(self, outcomes: Sequence[bool]) -> list[Result]:
        """What became of each event, by index; `outcomes` says of each accepted one whether Kafka has it."""
        results = [
            Result(index, Status.ACCEPTED if acknowledged else Status.UNKNOWN, record.event_id)
            for (index, record), acknowledged in zip(self.accepted, outcomes, strict=True)
        ]
        return sorted(results + self.rejected, key=lambda result: result.index) if self.rejected else results


def sort(items: Sequence[Item], sender: Sender, arrival: Arrival, max_event_bytes: int) -> Sorted:
    """Parse each event and wrap those that are good."""
    found, envelope = Sorted([], []), Envelope(sender, arrival)
    for place, (index, item) in enumerate(items):
        try:
            if len(item) > max_event_bytes:
                raise too_large(max_event_bytes)
            found.accepted.append((index, envelope.wrap(parse_any(item), item, place)))
        except InvalidEvent as error:
            rejected = Result(index, Status.REJECTED, None, error.code, error.message, error.field)
            found.rejected.append(rejected)
    return found
