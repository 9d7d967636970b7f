"""The listener for machines, the same for every process: Prometheus's metrics, and whether it lives and is ready.

`/livez` asks nothing that the process depends on, since a restart would not mend it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from schemas.settings import cannot_listen

STOP_SECONDS = 1


@asynccontextmanager
async def health_listener(
    host: str,
    port: int,
    variable: str,
    is_ready: Callable[[], bool],
    metrics_text: Callable[[], bytes] = generate_latest,
) -> AsyncIterator[None]:
    """Serve /metrics, /livez and /readyz for as long as the context lasts; `variable` is the port's setting.

    Raises:
        SettingsError: where the port cannot be had.
    """

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if is_ready() else web.Response(status=503, text="not ready\n")

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics_text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise cannot_listen(host, port, variable, error) from error
        yield
    finally:
        await runner.cleanup()
