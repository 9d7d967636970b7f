"""Records that leave together, and the requests that wait for them."""

import asyncio
from collections import deque

from schemas.errors import Unavailable


class Flush:
    """What became of some records of one partition, and who wants to know it; subclasses hold the records.

    Attributes:
        bytes: about the memory that its records take.
    """

    __slots__ = ("_loop", "_timer", "_waiters", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        self._loop = asyncio.get_running_loop()
        self._waiters: deque[tuple[float, asyncio.Future[Unavailable | None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def outcome(self, seconds: float) -> asyncio.Future[Unavailable | None]:
        """None when the records are safe, or, after so long at most, why that is not known.

        To be called without a pause after `Producer.publish`.  One timer serves all who wait: asyncio.wait and
        asyncio.timeout cost more per request than all the rest of it.
        """
        expires_at = self._loop.time() + seconds
        waiter: asyncio.Future[Unavailable | None] = self._loop.create_future()
        self._waiters.append((expires_at, waiter))
        if self._timer is None:
            self._timer = self._loop.call_at(expires_at, self._expire)
        return waiter

    def settle(self, outcome: Unavailable | None) -> None:
        """Tell all who still wait."""
        if self._timer:
            self._timer.cancel()
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(outcome)
        self._waiters.clear()

    def _expire(self) -> None:
        now = self._loop.time()
        late = Unavailable("Kafka has not acknowledged the event in time: send it again with the same id.")
        while self._waiters and self._waiters[0][0] <= now:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(late)
        self._timer = self._loop.call_at(self._waiters[0][0], self._expire) if self._waiters else None
