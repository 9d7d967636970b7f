"""The wiring of the ingress, on one page: what it is made of, and in which order it starts and stops."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from aiohttp import http_parser, web

from ingress import answers, openapi
from ingress.accounts.store import Accounts
from ingress.auth import TokenSnapshot
from ingress.handlers import Events
from ingress.health import Health
from ingress.producer import Producer
from ingress.server import PublicServer, Route
from ingress.settings import IngressSettings
from schemas.health import health_listener
from schemas.logs import get_logger
from schemas.segment import CALLS
from schemas.settings import SettingsError

# What is left of requests that did not finish within INGRESS_SHUTDOWN_SECONDS.
CUT_OFF_SECONDS = 1

_log = get_logger(__name__)


async def serve(settings: IngressSettings) -> None:
    """Run until SIGTERM or SIGINT.

    Starts from top to bottom and stops from bottom to top: not ready, no new connections, requests finish, lanes
    flush, Kafka and accounts close, and the health routes answer until the end.

    Raises:
        SettingsError: where it cannot listen.
        ProducerFailed: where it must be started anew.
    """
    _check_parser()
    stop = _stop_signal()
    accounts = Accounts(settings.accounts_url.get_secret_value(), read_only=True)
    tokens = TokenSnapshot(accounts)
    producer = Producer(settings, settings.ingress_max_pending_bytes)
    health = Health(tokens, producer)
    public = PublicServer(routes(Events(settings, tokens, producer), health), settings, health)
    async with (
        health_listener(settings.metrics_host, settings.ingress_metrics_port, "INGRESS_METRICS_PORT", health.is_ready),
        accounts,
        _running(tokens.keep_fresh(), producer.run()) as background,
        producer,
        _public(public, settings),
        health,
    ):
        _log.info("listening", host=settings.ingress_host, port=settings.ingress_port)
        await _first(stop.wait(), background)
        _log.info("stopping", pending_bytes=producer.pending_bytes())
    _log.info("stopped")


def routes(events: Events, health: Health) -> list[Route]:
    """What the public listener does, path by path."""
    description = openapi.document()

    async def describe(_request: web.BaseRequest, name: str) -> web.Response:
        return answers.document(description, name)

    return [
        Route("/v1/event", POST=events.post_event),
        Route("/v1/batch", POST=events.post_batch),
        Route("/v1/b", POST=events.post_batch),
        *(Route(f"/v1/{path}", POST=events.post_call(kind)) for kind in CALLS for path in (kind, kind[0])),
        Route("/openapi.json", GET=describe, HEAD=describe),
        Route("/livez", GET=health.live, HEAD=health.live),
        Route("/readyz", GET=health.ready, HEAD=health.ready),
    ]


@asynccontextmanager
async def _public(server: PublicServer, settings: IngressSettings) -> AsyncIterator[None]:
    runner = web.ServerRunner(server, shutdown_timeout=CUT_OFF_SECONDS)
    try:
        site = await _listen(runner, settings.ingress_host, settings.ingress_port, "INGRESS_PORT")
        yield
        await site.stop()
        await server.drain(settings.ingress_shutdown_seconds)
    finally:
        await runner.cleanup()


async def _listen(runner: web.BaseRunner, host: str, port: int, variable: str) -> web.TCPSite:
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        raise SettingsError(f"Cannot listen on {host}:{port} ({variable}): {error.strerror or error}") from error
    return site


@asynccontextmanager
async def _running(*work: Coroutine[None, None, None]) -> AsyncIterator[set[asyncio.Task[None]]]:
    """What runs beside the requests until the end."""
    tasks = {asyncio.create_task(coroutine) for coroutine in work}
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _first(stop: Coroutine[None, None, bool], background: set[asyncio.Task[None]]) -> None:
    """Wait for the stop; background work that ends before it has failed, and its error goes on from here."""
    stopped = asyncio.create_task(stop)
    done, _ = await asyncio.wait({stopped, *background}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done & background:
        task.result()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _check_parser() -> None:
    """Most of aiohttp's request smuggling faults were in the parser that it falls back to (THREAT_MODEL.md, 5.1)."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise SettingsError("aiohttp runs without its C parser: install its wheel and unset AIOHTTP_NO_EXTENSIONS.")
