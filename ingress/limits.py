"""How many events a second a team and a token may send: token buckets.  Pure: time is an argument.

Invariant: in any t seconds a bucket gives at most rate * (t + BURST_SECONDS) events, and the rest of one batch; what a
batch took beyond the level is paid back before anything else is given.
"""

import math
from weakref import WeakValueDictionary

from schemas.errors import ErrorCode, PipelineError

BURST_SECONDS = 2
LIMIT, REMAINING, RESET = "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"


class RateLimited(PipelineError):
    """Nothing of the request was taken; the same request may be sent again later.

    Attributes:
        events: how many it holds.
        retry_after_seconds: from then on it fits, unless somebody else was faster; at least 1.
    """

    code = ErrorCode.RATE_LIMITED

    def __init__(self, message: str, events: int, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.message = message
        self.events = events
        self.retry_after_seconds = retry_after_seconds


class Bucket:
    """Fills at a steady rate up to two seconds' worth; it is full at first.

    Attributes:
        whose: words for messages.
        burst: how many events it holds.
        level: how many it held when it was last filled; below 0 where a batch larger than the bucket was let through.
    """

    __slots__ = ("__weakref__", "_filled_at", "burst", "events_per_second", "level", "told_burst", "whose")

    def __init__(self, whose: str, events_per_second: int) -> None:
        self.whose = whose
        self.events_per_second = events_per_second
        self.burst = events_per_second * BURST_SECONDS
        self.told_burst = str(self.burst)
        self.level: float = self.burst
        self._filled_at = -math.inf

    def fill(self, now: float) -> None:
        """Add what has come since the last time."""
        level = self.level + (now - self._filled_at) * self.events_per_second
        self.level = min(self.burst, level)
        self._filled_at = now

    def seconds_until(self, level: float) -> int:
        """How many whole seconds it takes to fill up to there."""
        return math.ceil((level - self.level) / self.events_per_second)


class Allowance:
    """What one sender may send: its events must fit into each of these buckets, its team's and its own."""

    __slots__ = ("_buckets",)

    def __init__(self, *buckets: Bucket) -> None:
        self._buckets = buckets

    def take(self, events: int, now: float) -> None:
        """Take all of a request's events, or none; more than a bucket holds fit when it is full.

        Raises:
            RateLimited: where they do not fit now.
        """
        for bucket in self._buckets:
            bucket.fill(now)
            if bucket.level < events and bucket.level < bucket.burst:
                raise self._refusal(events, now)
        for bucket in self._buckets:
            bucket.level -= events

    def tell(self, headers: dict[str, str], now: float) -> None:
        """Write what is left of the limit that is closest: events in all, events now, whole seconds until all again."""
        closest = None
        for bucket in self._buckets:
            bucket.fill(now)
            if closest is None or bucket.level < closest.level:
                closest = bucket
        if closest is not None:
            headers[LIMIT] = closest.told_burst
            headers[REMAINING] = str(int(closest.level)) if closest.level > 0 else "0"
            headers[RESET] = str(closest.seconds_until(closest.burst))

    def _refusal(self, events: int, now: float) -> RateLimited:
        for bucket in self._buckets:
            bucket.fill(now)
        waits = [(bucket.seconds_until(min(events, bucket.burst)), bucket) for bucket in self._buckets]
        seconds, bucket = max(waits, key=lambda wait: wait[0])
        message = (
            f"{bucket.whose} may send {bucket.events_per_second} events a second, {bucket.burst} at once.  "
            f"Nothing was taken: send it again in {seconds} s."
        )
        return RateLimited(message, events, seconds)


class Buckets:
    """The bucket of each team and each token, for as long as somebody may send with it.

    They outlive the allowances that are made of them: who has spent has spent, whenever the tokens are loaded anew.
    """

    def __init__(self, team_events_per_second: int, token_events_per_second: int) -> None:
        """Events a second for every team, and for every token that has no limit of its own; 0 for no limit."""
        self._team_events_per_second = team_events_per_second
        self._token_events_per_second = token_events_per_second
        self._buckets = WeakValueDictionary[str, Bucket]()

    def allowance(self, team: str, token_id: str, token_events_per_second: int | None) -> Allowance:
        """What may be sent with a token; all tokens of a team share the team's bucket."""
        limits = {
            f"The team {team}": self._team_events_per_second,
            f"The token {token_id}": token_events_per_second or self._token_events_per_second,
        }
        return Allowance(*(self._bucket(whose, limit) for whose, limit in limits.items() if limit))

    def _bucket(self, whose: str, events_per_second: int) -> Bucket:
        bucket = self._buckets.get(whose)
        if bucket is None or bucket.events_per_second != events_per_second:
            bucket = self._buckets[whose] = Bucket(whose, events_per_second)
        return bucket
