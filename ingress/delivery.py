"""A request's events on their way into Kafka, and the answer that waits for them."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from functools import partial

from ingress.answer import Answer
from ingress.flush import Flush, Outcome

Conclude = Callable[[Mapping[Flush, Outcome]], Answer]
"""Makes the answer of what became of each flush; raises Unavailable where that is no answer of its own."""


class Delivery:
    """What a request waits for."""

    __slots__ = ("_conclude", "_done", "_flushes", "_left", "_outcomes")

    def __init__(self, flushes: Collection[Flush], conclude: Conclude) -> None:
        """What was published a moment ago; `flushes` may name one of them several times."""
        self._flushes = flushes if len(flushes) == 1 else set(flushes)
        self._conclude = conclude
        self._outcomes: dict[Flush, Outcome] = {}
        self._left = len(self._flushes)
        self._done: Callable[[Delivery], None] | None = None

    def begin(self, seconds: float, done: Callable[["Delivery"], None]) -> None:
        """Call `done`, once, as soon as all is known, which is after so long at the latest; at once, where it is now.

        To be called without a pause after `Producer.publish`.
        """
        self._done = done
        if not self._left:
            done(self)
        for flush in self._flushes:
            flush.tell(partial(self._settled, flush), seconds)

    def answer(self) -> Answer:
        """The answer, once `done` was called.

        Raises:
            Unavailable: where the event was not acknowledged.
        """
        return self._conclude(self._outcomes)

    async def wait(self, seconds: float) -> Answer:
        """Begin, and return the answer.

        Raises:
            Unavailable: as `answer`.
        """
        known = asyncio.Event()
        self.begin(seconds, lambda _: known.set())
        await known.wait()
        return self.answer()

    def _settled(self, flush: Flush, outcome: Outcome) -> None:
        self._outcomes[flush] = outcome
        self._left -= 1
        if not self._left and self._done:
            self._done(self)
