"""Whether this process lives, and whether it should get requests."""

from typing import Self

from aiohttp import web

from ingress import answers
from ingress.answer import Answer
from ingress.auth import TokenSnapshot
from ingress.producer import Producer


class Health:
    """What the health routes of the public listener answer, and whether the process is ready.

    Attributes:
        serving: from when connections are taken until just before none are, so that balancers look elsewhere first.
    """

    def __init__(self, tokens: TokenSnapshot, producer: Producer) -> None:
        self._tokens = tokens
        self._producer = producer
        self.serving = False

    async def __aenter__(self) -> Self:
        self.serving = True
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.serving = False

    async def live(self, _request: web.BaseRequest, name: str) -> Answer:
        """The event loop turns; nothing that the process depends on is asked, since a restart would not mend it."""
        return answers.told(200, {"live": True}, name)

    async def ready(self, _request: web.BaseRequest, name: str) -> Answer:
        """Whether events are taken, and what that rests on; spilling is no reason to send them elsewhere."""
        ready = self.is_ready()
        facts = {
            "ready": ready,
            "kafka": self._producer.connected,
            "spilling": self._producer.spilling,
            "tokens": self._tokens.loaded,
            "serving": self.serving,
        }
        return answers.told(200 if ready else 503, facts, name)

    def is_ready(self) -> bool:
        """Whether it should get requests."""
        return self.serving and self.is_able()

    def is_able(self) -> bool:
        """Whether it could do more with a request than refuse it: tokens are loaded, and the partitions known."""
        return self._producer.takes_records and self._tokens.loaded
