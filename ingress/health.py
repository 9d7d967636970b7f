"""Whether this process lives, and whether it should get requests."""

from typing import Self

from aiohttp import web

from ingress import answers
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

    async def live(self, _request: web.BaseRequest, name: str) -> web.Response:
        """The event loop turns; nothing that the process depends on is asked, since a restart would not mend it."""
        return answers.told(200, {"live": True}, name)

    async def ready(self, _request: web.BaseRequest, name: str) -> web.Response:
        """Kafka has been reached, the tokens were loaded, and the process is not about to stop."""
        ready = self.is_ready()
        return answers.told(200 if ready else 503, {"ready": ready, **self._parts()}, name)

    def is_ready(self) -> bool:
        """Whether it should get requests."""
        return self.serving and self.is_able()

    def is_able(self) -> bool:
        """Whether it could do more with a request than refuse it."""
        return self._producer.connected and self._tokens.loaded

    def _parts(self) -> dict[str, bool]:
        return {"kafka": self._producer.connected, "tokens": self._tokens.loaded, "serving": self.serving}
