"""How often somebody may ask.  Pure: time is an argument."""

MAX_NAMES = 10_000


class Allowance:
    """So much per second, and a burst at once, for each name; the generic cell rate algorithm (ITU-T I.371).

    Args:
        per_second: in the long run.
        burst: at once, by who has not asked for a while.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._interval_seconds = 1 / per_second
        self._slack_seconds = max(0.0, burst - 1) / per_second
        self._due: dict[str, float] = {}

    def take(self, name: str, now: float) -> float:
        """Take one and return 0; or take none and return in how many seconds there is one again."""
        due = max(self._due.get(name, now), now)
        early_seconds = due - now - self._slack_seconds
        if early_seconds > 0:
            return early_seconds
        if len(self._due) >= MAX_NAMES:
            self._due = {known: at for known, at in self._due.items() if at > now}
        self._due[name] = due + self._interval_seconds
        return 0.0
