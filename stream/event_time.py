"""When an event happened: its sender's word, corrected by the sender's clock, and left out where it is absurd.

Pure.  All times are microseconds since 1970.
"""

from datetime import UTC, datetime, timedelta

import msgspec

from schemas import events
from schemas.values.coerce import Discard

FIELD = "timestamp"
# Shorter differences between clocks are taken for the time that a request was on its way.
SKEW_MICROS = 120_000_000
LONGEST_AHEAD = timedelta(hours=24)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

_LONGEST_AHEAD_MICROS = LONGEST_AHEAD // timedelta(microseconds=1)
_EARLIEST_MICROS = events.to_micros(EARLIEST)


def occurred_at(time: datetime | None, sent_at: int | None, received_at: int) -> tuple[int, list[Discard]]:
    """When it happened, by our clock where the sender's is plainly wrong or absurd; what was absurd is a discard.

    Sender and ingress tell when the request was sent and received; what lies between is the difference of their clocks
    and the time on the way.  Up to SKEW_MICROS nobody can tell the two apart, and the sender's word stands.
    """
    if time is None:
        return received_at, []
    occurred, corrected = events.to_micros(time), ""
    if sent_at is not None and abs(received_at - sent_at) > SKEW_MICROS:
        occurred, corrected = occurred + received_at - sent_at, ", corrected by sent_at,"
    if occurred > received_at + _LONGEST_AHEAD_MICROS:
        return received_at, [_absurd(time, f"{corrected} lies more than 24 hours after received_at")]
    if occurred < _EARLIEST_MICROS:
        return received_at, [_absurd(time, f"{corrected} lies before 2000")]
    return occurred, []


def _absurd(time: datetime, reason: str) -> Discard:
    return Discard(FIELD, msgspec.json.encode(time).decode(), "time", reason.removeprefix(",").strip())
