"""Whether this process lives, and whether it should get requests."""

from typing import Self

from aiohttp import web

from ingress import answers
from ingress.auth import TokenSnapshot
from ingress.producer import Producer


class Health:
    """What the health routes of the public listener answer, and whether the process is ready.

    Attributes:
        draining: set first when the process stops, so that balancers look elsewhere.
    """

    def __init__(self, tokens: TokenSnapshot, producer: Producer) -> None:
        self._tokens = tokens
        self._producer = producer
        self.draining = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.draining = True

    async def live(self, _request: web.BaseRequest, name: str) -> web.Response:
        """The event loop turns; nothing that the process depends on is asked, since a restart would not mend it."""
        return answers.told(200, {"live": True}, name)

    async def ready(self, _request: web.BaseRequest, name: str) -> web.Response:
        """Whether events are taken, and what that rests on; spilling is no reason to send them elsewhere."""
        ready = self.is_ready()
        facts = {
            "ready": ready,
            "kafka": self._producer.connected,
            "spilling": self._producer.spilling,
            "tokens": self._tokens.loaded,
            "serving": not self.draining,
        }
        return answers.told(200 if ready else 503, facts, name)

    def is_ready(self) -> bool:
        """Kafka has been reached, or its partitions are remembered; the tokens are loaded; it is not about to stop."""
        return self._producer.takes_records and self._tokens.loaded and not self.draining
