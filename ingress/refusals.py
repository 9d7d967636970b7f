"""Refused events of known teams, for their Live page: which of them are told of, and what is told.  No I/O.

Invariant: no request waits for this, and nothing that looks like a token gets into the topic.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from ingress.allowance import Allowance
from ingress.batch import Item, Status
from ingress.envelope import Sender
from schemas.errors import ErrorCode
from schemas.metrics import REFUSALS_DROPPED
from schemas.topics import Headers

REFUSED = b'{"success":false'
"""How the body of an answer begins by which anything was refused."""

MAX_BODY_BYTES = 2 << 10
TEAM_PER_SECOND = 20
# Some 3 KiB each, and six times as much where every character needs an escape.
MAX_WAITING = 500

_TOKEN = re.compile(rb"evt_[0-9A-Za-z]{8,}")
_ESCAPED = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
# Longer than a token: one that the cut goes through is masked as well.
_BEYOND_BYTES = 256


class Refused(msgspec.Struct):
    """The value of a record of `events.refusals`, as JSON.

    Attributes:
        received_at: when it was refused.
        path: of the request.
        body: its first MAX_BODY_BYTES, or those of the one event of a batch; None where it was not read.
    """

    code: str
    field: str | None
    message: str
    request_id: str
    received_at: datetime
    path: str
    body: str | None


class RefusalRecord(NamedTuple):
    """One record of the topic."""

    value: bytes
    headers: Headers


class Asked(NamedTuple):
    """The request that was refused, or some of its events.

    Attributes:
        sent: its body, its events where it was cut into them, None where it was not read.
    """

    path: str
    request_id: str
    sent: bytes | Sequence[Item] | None


class _Verdict(msgspec.Struct):
    code: str = ""
    message: str = ""
    field: str | None = None
    index: int = -1
    status: Status = Status.REJECTED
    results: "list[_Verdict] | None" = None


_decode = msgspec.json.Decoder(_Verdict).decode
_encode = msgspec.json.Encoder().encode


class Refusals:
    """What waits to be published: so much of each team a second, and so much in all."""

    def __init__(self) -> None:
        self.waiting: deque[RefusalRecord] = deque()
        self._allowance = Allowance(TEAM_PER_SECOND, TEAM_PER_SECOND)

    def note(self, sender: Sender, asked: Asked, answer: bytes, now: float) -> None:
        """Tell of what an answer, whose body begins with REFUSED, refuses; `now` is seconds since 1970.

        What comes too fast costs nothing more than this; the rest of a batch is not even looked at.
        """
        if self._may_not(sender, now):
            return
        for number, refused in enumerate(refusals_in(answer, asked, datetime.fromtimestamp(now, UTC))):
            if number and self._may_not(sender, now):
                return
            self.waiting.append(RefusalRecord(masked(_encode(refused)), list(sender.headers)))

    def _may_not(self, sender: Sender, now: float) -> bool:
        full = len(self.waiting) >= MAX_WAITING
        if not full and not self._allowance.take(sender.team, now):
            return False
        REFUSALS_DROPPED.labels("full" if full else "limit").inc()
        return True


def refusals_in(answer: bytes, asked: Asked, now: datetime) -> Iterator[Refused]:
    """What the body of an answer refuses, one after the other; what is unknown is not refused."""
    found, sent = _decode(answer), asked.sent
    if found.results is None:
        if found.code != ErrorCode.UNAVAILABLE:
            yield _refused(found, asked, now, sent if isinstance(sent, bytes) else None)
        return
    items = {} if sent is None or isinstance(sent, bytes) else dict(sent)
    for result in found.results:
        if result.status is Status.REJECTED:
            yield _refused(result, asked, now, items.get(result.index))


def masked(value: bytes) -> bytes:
    """The same with stars in place of whatever looks like a token."""
    return _TOKEN.sub(lambda found: b"*" * len(found[0]), value)


def _refused(verdict: _Verdict, asked: Asked, now: datetime, body: bytes | None) -> Refused:
    beginning = None if body is None else _beginning(body)
    return Refused(verdict.code, verdict.field, verdict.message, asked.request_id, now, asked.path, beginning)


def _beginning(body: bytes) -> str | None:
    """The first MAX_BODY_BYTES; None where a token is hidden in escapes, which its sender alone can have wanted."""
    head = body[: MAX_BODY_BYTES + _BEYOND_BYTES]
    plain = _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), head)
    if plain != head and len(_TOKEN.findall(plain)) > len(_TOKEN.findall(head)):
        return None
    return masked(head)[:MAX_BODY_BYTES].decode(errors="replace")
