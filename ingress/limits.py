"""How many events a second a team and a token may send: token buckets.  Pure: time is an argument.

Invariant: in any t seconds a bucket gives at most rate * (t + BURST_SECONDS) events, and the rest of one batch; what a
batch took beyond the level is paid back before anything else is given.
"""

import math
from weakref import WeakValueDictionary

from multidict import CIMultiDict, istr

from schemas.errors import PipelineError

BURST_SECONDS = 2
# Looked up and written with each request: without letter case to be folded each time.
LIMIT, REMAINING, RESET = istr("X-RateLimit-Limit"), istr("X-RateLimit-Remaining"), istr("X-RateLimit-Reset")


class RateLimited(PipelineError):
    """Nothing of the request was taken; the same request may be sent again later.

    Attributes:
        events: how many it holds.
        retry_after_seconds: from then on it fits, unless somebody else was faster; at least 1.
    """

    def __init__(self, message: str, events: int, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.message = message
        self.events = events
        self.retry_after_seconds = retry_after_seconds


class Bucket:
    """Fills at a steady rate up to two seconds' worth; it is full at first.

    Attributes:
        whose: words for messages.
    """

    __slots__ = ("__weakref__", "_at", "_level", "burst", "burst_text", "events_per_second", "whose")

    def __init__(self, whose: str, events_per_second: int) -> None:
        self.whose = whose
        self.events_per_second = events_per_second
        self.burst = events_per_second * BURST_SECONDS
        self.burst_text = str(self.burst)
        self._level = 0.0
        self._at = -math.inf

    def level(self, now: float) -> float:
        """How many events it would give; below 0 where a batch larger than the bucket has been let through."""
        return min(self.burst, self._level + (now - self._at) * self.events_per_second)

    def seconds_until_level(self, level: float, now: float) -> float:
        """How long it takes to fill up to there; 0 or less where it is fuller."""
        return (level - self.level(now)) / self.events_per_second

    def take(self, events: int, now: float) -> None:
        """Take so many, whether they are there or not."""
        self._level = self.level(now) - events
        self._at = now


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
            if bucket.seconds_until_level(min(events, bucket.burst), now) > 0:
                raise self._refusal(events, now)
        for bucket in self._buckets:
            bucket.take(events, now)

    def tell(self, headers: CIMultiDict[str], now: float) -> None:
        """Write what is left of the limit that is closest: events in all, events now, whole seconds until all again."""
        if not self._buckets:
            return
        bucket = self._buckets[0] if len(self._buckets) == 1 else min(self._buckets, key=lambda one: one.level(now))
        headers[LIMIT] = bucket.burst_text
        headers[REMAINING] = str(max(0, int(bucket.level(now))))
        headers[RESET] = str(math.ceil(bucket.seconds_until_level(bucket.burst, now)))

    def _refusal(self, events: int, now: float) -> RateLimited:
        waits = [(each.seconds_until_level(min(events, each.burst), now), each) for each in self._buckets]
        seconds, bucket = max(waits, key=lambda wait: wait[0])
        retry_after_seconds = math.ceil(seconds)
        message = (
            f"{bucket.whose} may send {bucket.events_per_second} events a second, {bucket.burst} at once.  "
            f"Nothing was taken: send it again in {retry_after_seconds} s."
        )
        return RateLimited(message, events, retry_after_seconds)


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
