"""Whether this process lives, whether it should get requests, and its metrics: for machines."""

from typing import Self

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ingress import answers
from ingress.auth import TokenSnapshot
from ingress.producer import Producer


class Health:
    """What the health routes of both listeners answer.

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
        """Kafka has been reached, the tokens were loaded, and the process is not about to stop."""
        parts = {"kafka": self._producer.connected, "tokens": self._tokens.loaded, "serving": not self.draining}
        ready = all(parts.values())
        return answers.told(200 if ready else 503, {"ready": ready, **parts}, name)

    def operations(self) -> web.Application:
        """The listener for Prometheus and for health checks that must not go through the public one."""

        async def live(request: web.Request) -> web.Response:
            return await self.live(request, answers.request_id(request))

        async def ready(request: web.Request) -> web.Response:
            return await self.ready(request, answers.request_id(request))

        app = web.Application()
        app.router.add_routes([web.get("/livez", live), web.get("/readyz", ready), web.get("/metrics", _metrics)])
        return app


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
