"""The HTTP listener: its routes, and refusals as ClickHouse words them.

Invariant: whatever a client sends, it gets an answer as ClickHouse gives it.
"""

from aiohttp import web

from deploy.local.clickhouse.answer import failure
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.exchange import Endpoint, Exchange
from schemas.logs import get_logger

_NO_HANDLE = (
    "There is no handle {path}\n\nUse / or /ping for health checks.\n"
    "Send queries from your program with POST method or GET /?query=...\n"
)
log = get_logger(__name__)


def application(endpoint: Endpoint) -> web.Application:
    """The routes."""

    async def query(request: web.Request) -> web.StreamResponse:
        if request.method in {"GET", "HEAD"} and "query" not in request.query:
            return await _ok(request)
        exchange = Exchange(endpoint, request)
        try:
            return await exchange.answer()
        except ClickHouseError as error:
            log.warning("query refused", query_id=exchange.query_id, code=error.code, error=error.name)
            return failure(error, endpoint.engine.version, exchange.headers(None))

    app = web.Application()
    app.router.add_get("/ping", _ok)
    app.router.add_get("/replicas_status", _ok)
    app.router.add_get("/", query)
    app.router.add_post("/", query)
    app.router.add_route("*", "/{path:.*}", _no_handle)
    return app


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _no_handle(request: web.Request) -> web.Response:
    return web.Response(status=404, text=_NO_HANDLE.format(path=request.path))
