"""How many events of one name may become dead letters, where a schema refuses too many of them.  Pure."""

from typing import NamedTuple

MINUTE_MICROS = 60_000_000


class Bounds(NamedTuple):
    """Of the events of one name in one minute.

    Attributes:
        least: so many may become dead letters, however few events there are.
        share: of more events, this share.
    """

    least: int
    share: float


NO_BOUNDS = Bounds(0, 1.0)


class DeadLetterLimit:
    """What of its minute's bounds one event name has used."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._minute = self._events = self._dead_letters = 0

    def allow(self, received_at: int, events: int, refused: int) -> int:
        """How many of these refused events may become dead letters.

        Args:
            received_at: of the first of the events, in microseconds since 1970; by the ingress's clock, so that what is
                read long after is bounded alike.
            events: how many came, the refused ones too.
            refused: how many of them lack a required member.
        """
        minute = received_at // MINUTE_MICROS
        if minute > self._minute:
            self._minute, self._events, self._dead_letters = minute, 0, 0
        self._events += events
        most = max(self._bounds.least, int(self._bounds.share * self._events))
        allowed = min(refused, max(0, most - self._dead_letters))
        self._dead_letters += allowed
        return allowed
