"""Records that leave together, and who waits for them."""

import asyncio
from collections import deque
from collections.abc import Callable

from schemas.errors import Unavailable

FILL_ROUNDS = 4

Outcome = Unavailable | None
"""None where the records are safe, else why that is not known."""


class Flush:
    """What became of some records of one partition, and who wants to know it; subclasses hold the records.

    Attributes:
        bytes: about the memory that its records take.
    """

    __slots__ = ("_listeners", "_loop", "_timer", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        self._loop = asyncio.get_running_loop()
        self._listeners: deque[tuple[float, Callable[[Outcome], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, listener: Callable[[Outcome], None], seconds: float) -> None:
        """Call the listener, once, with the outcome, or after so long with the reason why none is known.

        To be called without a pause after `Producer.publish`; all wait equally long.  A call and not a future, and one
        timer for all: a future and a timer for each request cost more than all the rest of its way into Kafka.
        """
        expires_at = self._loop.time() + seconds
        self._listeners.append((expires_at, listener))
        if self._timer is None:
            self._timer = self._loop.call_at(expires_at, self._expire)

    def settle(self, outcome: Outcome) -> None:
        """Tell all who still wait."""
        if self._timer:
            self._timer.cancel()
        listeners, self._listeners = self._listeners, deque()
        for _, listener in listeners:
            listener(outcome)

    async def fill(self) -> None:
        """Wait as long as each round of the event loop adds something, FILL_ROUNDS at most.

        Requests that come at the same time are read in several rounds.  To be sent together costs them less than each
        to be sent at once.
        """
        for _ in range(FILL_ROUNDS):
            before = self.bytes
            await asyncio.sleep(0)
            if self.bytes == before:
                break

    def _expire(self) -> None:
        now = self._loop.time()
        late = Unavailable("Kafka has not acknowledged the event in time: send it again with the same id.")
        while self._listeners and self._listeners[0][0] <= now:
            _, listener = self._listeners.popleft()
            listener(late)
        self._timer = self._loop.call_at(self._listeners[0][0], self._expire) if self._listeners else None
