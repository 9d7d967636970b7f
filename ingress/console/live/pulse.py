"""What passed in each of the last seconds, for the charts and the true rate.  Pure: time is an argument."""

import msgspec

KEPT_SECONDS = 120


class Pulse(msgspec.Struct, rename="camel"):
    """One second of a team.

    Attributes:
        second: since 1970, by the console's clock: when it was seen.
        shown: how many of them the page shows.
        freshness: the longest time since `received_at`, in seconds, of those that were seen to be stored in this one.
    """

    second: int
    accepted: int = 0
    refused: int = 0
    dead_letters: int = 0
    shown: int = 0
    freshness: float | None = None

    def note_freshness(self, seconds: float) -> None:
        """One more is stored; of clocks that differ nothing is said but 0."""
        self.freshness = max(self.freshness or 0.0, round(seconds, 3))


class Pulses:
    """The last KEPT_SECONDS."""

    def __init__(self) -> None:
        self._kept: dict[int, Pulse] = {}

    def at(self, now: float) -> Pulse:
        """The one of this moment; `now` is seconds since 1970."""
        second = int(now)
        pulse = self._kept.get(second)
        if pulse is None:
            pulse = self._kept[second] = Pulse(second)
            for old in [kept for kept in self._kept if kept <= second - KEPT_SECONDS]:
                del self._kept[old]
        return pulse

    def between(self, after: int, before: int) -> list[Pulse]:
        """Those of the seconds after the one and before the other; of seconds in which nothing passed there is none."""
        return [pulse for second, pulse in sorted(self._kept.items()) if after < second < before]
