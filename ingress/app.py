"""The wiring of the ingress, on one page: what it is made of, and in which order it starts and stops."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator

from aiohttp import http_parser, web
from aiohttp.http_exceptions import HttpProcessingError

from ingress.accounts.store import Accounts
from ingress.auth import TokenSnapshot
from ingress.handlers import HEALTH, PRODUCER, SETTINGS, TOKENS, answered, expect_continue, post_event, unrouted
from ingress.health import Health, metrics
from ingress.producer import Producer
from ingress.settings import IngressSettings
from schemas.logs import get_logger
from schemas.settings import SettingsError

# How long the unread rest of a refused body is swallowed, so that its sender can read the refusal.
LINGERING_SECONDS = 1.0

ACCOUNTS = web.AppKey("accounts", Accounts)
BACKGROUND = web.AppKey("background", list[asyncio.Task[None]])

_log = get_logger(__name__)


def make_app(settings: IngressSettings) -> web.Application:
    """The public listener.  Called inside the event loop that will run it."""
    app = web.Application(client_max_size=settings.ingress_max_event_bytes)
    app[SETTINGS] = settings
    app[ACCOUNTS] = Accounts(settings.accounts_url.get_secret_value(), read_only=True)
    app[TOKENS] = TokenSnapshot(app[ACCOUNTS])
    app[PRODUCER] = Producer(settings, settings.ingress_max_pending_bytes)
    app[HEALTH] = Health(app[TOKENS], app[PRODUCER])
    app[BACKGROUND] = []
    app.cleanup_ctx.append(_background)
    app.router.add_post("/v1/event", answered("/v1/event", post_event), expect_handler=expect_continue)
    app.router.add_routes(app[HEALTH].routes())
    methods = {"/v1/event": ("POST",), "/livez": ("GET", "HEAD"), "/readyz": ("GET", "HEAD")}
    app.router.add_route("*", "/{path:.*}", answered("other", unrouted(methods)))
    return app


def make_operations(health: Health) -> web.Application:
    """The listener for Prometheus and for health checks."""
    app = web.Application()
    app.router.add_routes([*health.routes(), web.get("/metrics", metrics)])
    return app


def make_runner(app: web.Application) -> web.AppRunner:
    """The public listener's server, with every limit said."""
    settings = app[SETTINGS]
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=settings.ingress_keepalive_seconds,
        lingering_time=LINGERING_SECONDS,
        shutdown_timeout=settings.ingress_shutdown_seconds,
    )


async def serve(settings: IngressSettings) -> None:
    """Run until SIGTERM or SIGINT.

    Stops in this order: not ready, no new connections, requests finish, lanes flush, Kafka and accounts close.

    Raises:
        SettingsError: where it cannot listen.
        ProducerFailed: where it must be started anew.
    """
    _check_parser()
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = make_app(settings)
    public, operations = make_runner(app), web.AppRunner(make_operations(app[HEALTH]), access_log=None)
    try:
        await _listen(operations, settings.metrics_host, settings.ingress_metrics_port, "INGRESS_METRICS_PORT")
        await _listen(public, settings.ingress_host, settings.ingress_port, "INGRESS_PORT")
        _log.info("listening", host=settings.ingress_host, port=settings.ingress_port)
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({stopped, *app[BACKGROUND]}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        failed = [task for task in app[BACKGROUND] if task.done()]
        _log.info("stopping", pending_bytes=app[PRODUCER].pending_bytes())
    finally:
        app[HEALTH].draining = True
        await public.cleanup()
        await operations.cleanup()
    for task in failed:
        task.result()
    _log.info("stopped")


async def _background(app: web.Application) -> AsyncIterator[None]:
    """What runs beside the requests; `serve` watches over it."""
    tasks = app[BACKGROUND]
    tasks.append(asyncio.create_task(app[TOKENS].keep_fresh()))
    tasks.append(asyncio.create_task(app[PRODUCER].run()))
    yield
    await app[PRODUCER].stop()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await app[ACCOUNTS].close()


async def _listen(runner: web.AppRunner, host: str, port: int, variable: str) -> None:
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise SettingsError(f"Cannot listen on {host}:{port} ({variable}): {error.strerror or error}") from error


def _check_parser() -> None:
    """Most of aiohttp's request smuggling faults were in the parser that it falls back to (THREAT_MODEL.md, 5.1)."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise SettingsError("aiohttp runs without its C parser: install its wheel and unset AIOHTTP_NO_EXTENSIONS.")


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Bytes that are no HTTP are answered with 400; they are not worth a traceback each."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
