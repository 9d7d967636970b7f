"""How a path takes events: first the head is looked at, then the body, then Kafka is waited for.

What is in the body and the answer are the path's; how both are waited for is decided here, in two ways that do the
same: with a task, where the body is still on its way, and without one, where it came in one piece with the head.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ingress.answer import Answer
from ingress.delivery import Delivery
from ingress.request import Request
from ingress.requests import read_body, whole_body

Admit = Callable[[Request], None]
"""Looks at the head, so that no body is sent in vain; raises InvalidEvent."""

Take = Callable[[Request, bytes, str], Delivery]
"""Publishes what is in the body of a request, which has a name; raises InvalidEvent, RateLimited or Unavailable."""


@dataclass(frozen=True, slots=True)
class Intake:
    """One path's way of taking events.

    Attributes:
        max_body_bytes: before and after decompression.
        body_timeout_seconds: how long the body may take to arrive.
        deadline_seconds: how long Kafka may take.
    """

    admit: Admit
    take: Take
    max_body_bytes: int
    body_timeout_seconds: float
    deadline_seconds: float

    async def act(self, request: Request, name: str) -> Answer:
        """Answer a request whose body may still be on its way.

        Raises:
            InvalidEvent: where the request can never be accepted.
            RateLimited: where it is more than may be sent now.
            Unavailable: where it was not acknowledged.
        """
        self.admit(request)
        request.sent = body = await read_body(request, self.max_body_bytes, self.body_timeout_seconds)
        return await self.take(request, body, name).wait(self.deadline_seconds)

    def begin(self, request: Request, name: str, done: Callable[[Delivery], None]) -> None:
        """Begin with a request whose body is here, and call `done` when its answer is known; that may be at once.

        Raises:
            InvalidEvent: as `act`.
            RateLimited: as `act`.
            Unavailable: as `act`.
        """
        self.admit(request)
        request.sent = body = whole_body(request, self.max_body_bytes)
        self.take(request, body, name).begin(self.deadline_seconds, done)
