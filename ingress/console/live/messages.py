"""What the Live page's script is told, as server-sent events.  Pure.

`entries` brings new and changed ones, and its id is how far the viewer has come; `pulse` comes every second; `end` says
why nothing more comes.
"""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from ingress.console.live.entries import Entry, Fault, Sent, Stages
from ingress.console.live.feed import Changes, Feed, Mark
from ingress.console.live.pulse import Pulse

# A message is held in memory, by us and by the browser.
MESSAGE_BYTES = 256 << 10
_ID = re.compile(r"([0-9a-f]{0,16})\.([0-9]{1,15})\.([0-9]{1,15})", re.ASCII)
_encode = msgspec.json.Encoder().encode


class Message(NamedTuple):
    """One server-sent event."""

    event: str
    data: str
    id: str | None = None


class Sight(NamedTuple):
    """How much of what passes is seen at the moment.

    Attributes:
        kafka: whether Kafka answers.
        passes_over: whether more comes than can be read, so that some is left out and not even counted.
    """

    kafka: bool
    passes_over: bool


class Ending(StrEnum):
    """Why a stream ends that the viewer did not end."""

    SIGNED_OUT = "signed_out"
    """The session is over, or the user is no longer in the team."""
    STOPPING = "stopping"
    """The console stops: come back."""
    TOO_MANY = "too_many"


class _Shown(msgspec.Struct, omit_defaults=True):
    key: str
    stages: Stages
    fault: Fault | None = None
    sent: Sent | None = None


class _Pulse(msgspec.Struct, rename="camel"):
    second: int
    limit: int
    kafka: bool
    passes_over: bool
    skipped: int
    seconds: Sequence[Pulse]


class _End(msgspec.Struct):
    reason: Ending
    message: str


def entries(changes: Changes, run: str) -> Iterator[Message]:
    """All changes in as many messages as they need; the last one's id is the mark."""
    held: list[bytes] = []
    for entry, is_new in changes.entries:
        if sum(map(len, held)) > MESSAGE_BYTES:
            yield Message("entries", _list(held))
            held = []
        held.append(_encode(_shown(entry, is_new=is_new)))
    if held:
        yield Message("entries", _list(held), f"{run}.{changes.mark.version}.{changes.mark.serial}")


def pulse(feed: Feed, after: int, now: float, sight: Sight, skipped: int) -> Message:
    """The seconds since the last one that was told, and what a viewer should know of what is shown.

    Args:
        feed: of the team.
        after: the second that was told last.
        now: seconds since 1970; the second that is not over yet is not told.
        sight: how much of what passes is seen.
        skipped: how many this viewer has missed.
    """
    told = _Pulse(
        int(now), feed.per_second, sight.kafka, sight.passes_over, skipped, feed.pulses.between(after, int(now))
    )
    return Message("pulse", _encode(told).decode())


def end(reason: Ending, message: str) -> Message:
    """The last message."""
    return Message("end", _encode(_End(reason, message)).decode())


def mark(text: str | None, feed: Feed) -> Mark:
    """Where a viewer goes on; from the beginning of the ring where it comes anew, or from another feed."""
    found = _ID.fullmatch(text or "")
    if found is None or found[1] != feed.run:
        return feed.start
    return Mark(int(found[2]), int(found[3]))


def _shown(entry: Entry, *, is_new: bool) -> _Shown:
    return _Shown(entry.key, entry.stages, entry.fault, entry.sent if is_new else None)


def _list(items: list[bytes]) -> str:
    return f"[{b','.join(items).decode()}]"
