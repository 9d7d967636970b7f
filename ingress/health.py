"""Whether this process lives, whether it should get requests, and its metrics: for machines, on both listeners."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ingress.auth import TokenSnapshot
from ingress.producer import Producer


class Health:
    """What the health routes answer.

    Attributes:
        draining: set first when the process stops, so that balancers look elsewhere.
    """

    def __init__(self, tokens: TokenSnapshot, producer: Producer) -> None:
        self._tokens = tokens
        self._producer = producer
        self.draining = False

    async def live(self, _request: web.Request) -> web.Response:
        """The event loop turns; nothing that the process depends on is asked, since a restart would not mend it."""
        return web.json_response({"live": True})

    async def ready(self, _request: web.Request) -> web.Response:
        """Kafka has been reached, the tokens were loaded, and the process is not about to stop."""
        parts = {"kafka": self._producer.connected, "tokens": self._tokens.loaded, "draining": self.draining}
        ready = self._producer.connected and self._tokens.loaded and not self.draining
        return web.json_response({"ready": ready, **parts}, status=200 if ready else 503)

    def routes(self) -> list[web.RouteDef]:
        """Both health routes."""
        return [web.get("/livez", self.live), web.get("/readyz", self.ready)]


async def metrics(_request: web.Request) -> web.Response:
    """Prometheus's text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
