"""One path of the public listener: what each method does, and its own metrics."""

from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import hdrs

from ingress.answer import Answer
from ingress.intake import Intake
from ingress.request import Request
from ingress.tally import Tally, observe_all
from schemas.errors import ErrorCode, InvalidEvent
from schemas.metrics import HTTP_REQUEST_SECONDS, HTTP_REQUESTS

OTHER = "other"
"""The path of what has no route."""
PARAMETER = "{id}"
"""Stands in a route's path for its last segment, where that may be anything."""

Act = Callable[[Request, str], Awaitable[Answer]]
"""Answers a request, which has a name; raises InvalidEvent, RateLimited or Unavailable for a refusal."""

Finish = Callable[[Request, Answer], None]
"""Adds what every answer of a path carries, refusals too."""


class Route:
    """One path: what each method does, and its own metrics.

    Attributes:
        intake: what POST does, where it takes events.
    """

    def __init__(self, path: str, finish: Finish | None = None, intake: Intake | None = None, **methods: Act) -> None:
        self.path = path
        self.finish = finish
        self.intake = intake
        self.methods = {hdrs.METH_POST: intake.act, **methods} if intake else methods
        self._seconds = HTTP_REQUEST_SECONDS.labels(path)
        self._answered = Tally(self._count)
        # Reads 0 until the first one, and not nothing.
        HTTP_REQUESTS.labels(path, 200)

    def find(self, method: str) -> Act:
        """What this method does.

        Raises:
            InvalidEvent: where it does nothing here.
        """
        act = self.methods.get(method)
        if act is not None:
            return act
        if self.methods:
            message = f"This path takes {' and '.join(self.methods)} only."
            raise InvalidEvent(ErrorCode.METHOD_NOT_ALLOWED, message)
        raise InvalidEvent(
            ErrorCode.NOT_FOUND, "There is nothing at this path; events go to POST /v1/event or /v1/batch."
        )

    def count(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self._answered.add((status, seconds))

    def _count(self, answered: list[tuple[int, float]]) -> None:
        for status, count in Counter(status for status, _ in answered).items():
            HTTP_REQUESTS.labels(self.path, status).inc(count)
        observe_all(self._seconds, [seconds for _, seconds in answered])
