"""The wiring of the ingress, on one page: what it is made of, and in which order it starts and stops."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

from aiohttp import http_parser, web
from prometheus_client import generate_latest

from ingress.accounts.store import Accounts
from ingress.auth import TokenSnapshot
from ingress.handlers import Events
from ingress.health import Health
from ingress.lifecycle import first, running, stop_signal
from ingress.limits import allow_connections
from ingress.producer import Producer
from ingress.server import PublicServer, Route
from ingress.settings import IngressSettings
from ingress.worker import Worker, reporting
from schemas.health import health_listener
from schemas.logs import get_logger
from schemas.metrics import HTTP_CONNECTIONS, INGRESS_READY, PRODUCER_PENDING_BYTES, TOKENS_AGE_SECONDS
from schemas.segment import CALLS
from schemas.settings import SettingsError, cannot_listen

# For so long at most: without Kafka or accounts, the others can do no more.
READY_SECONDS = 5.0
READY_POLL_SECONDS = 0.02
# What is left of requests that did not finish within INGRESS_SHUTDOWN_SECONDS.
CUT_OFF_SECONDS = 1

_log = get_logger(__name__)


async def serve(settings: IngressSettings, worker: Worker | None = None) -> None:
    """Run until SIGTERM or SIGINT, alone or as one of several workers.

    Starts from top to bottom and stops from bottom to top: not ready, no new connections, requests finish, lanes
    flush, Kafka and accounts close, and who asks for health is answered until the end.

    Raises:
        SettingsError: where it cannot listen.
        ProducerFailed: where it must be started anew.
    """
    _check_parser()
    stop = stop_signal()
    accounts = Accounts(settings.accounts_url.get_secret_value(), read_only=True)
    tokens = TokenSnapshot(accounts)
    producer = Producer(settings, settings.ingress_max_pending_bytes)
    health = Health(tokens, producer)
    max_connections = allow_connections(settings.ingress_max_connections)
    public = PublicServer(_routes(Events(settings, tokens, producer), health), settings, health, max_connections)

    def measure() -> None:
        PRODUCER_PENDING_BYTES.set(producer.pending_bytes())
        TOKENS_AGE_SECONDS.set(tokens.age_seconds())
        HTTP_CONNECTIONS.set(public.open_connections)
        INGRESS_READY.set(health.is_ready())

    async with (
        reporting(worker, health.is_ready, measure) if worker else _operations(settings, health.is_ready, measure),
        accounts,
        running(tokens.keep_fresh(), producer.run()) as background,
        producer,
        _after_others(health, stop) if worker else nullcontext(),
        _public(public, settings, reuse_port=worker is not None),
        health,
    ):
        _log.info("listening", host=settings.ingress_host, port=settings.ingress_port)
        await first(stop, background)
        _log.info("stopping", pending_bytes=producer.pending_bytes())
    _log.info("stopped")


def _routes(events: Events, health: Health) -> list[Route]:
    return [
        Route("/v1/event", POST=events.post_event),
        Route("/v1/batch", POST=events.post_batch),
        Route("/v1/b", POST=events.post_batch),
        *(Route(f"/v1/{path}", POST=events.post_call(kind)) for kind in CALLS for path in (kind, kind[0])),
        Route("/livez", GET=health.live, HEAD=health.live),
        Route("/readyz", GET=health.ready, HEAD=health.ready),
    ]


@asynccontextmanager
async def _after_others(health: Health, stop: asyncio.Event) -> AsyncIterator[None]:
    """A worker that could only answer 503 leaves connections to the others at first."""
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_SECONDS):
            while not (health.is_able() or stop.is_set()):  # noqa: ASYNC110 - two others' work, and for moments only
                await asyncio.sleep(READY_POLL_SECONDS)
    yield


@asynccontextmanager
async def _public(server: PublicServer, settings: IngressSettings, *, reuse_port: bool) -> AsyncIterator[None]:
    runner = web.ServerRunner(server, shutdown_timeout=CUT_OFF_SECONDS)
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.ingress_host, settings.ingress_port, reuse_port=reuse_port)
        try:
            await site.start()
        except OSError as error:
            raise cannot_listen(settings.ingress_host, settings.ingress_port, "INGRESS_PORT", error) from error
        yield
        await site.stop()
        await server.drain(settings.ingress_shutdown_seconds)
    finally:
        await runner.cleanup()


def _operations(
    settings: IngressSettings, is_ready: Callable[[], bool], measure: Callable[[], None]
) -> AbstractAsyncContextManager[None]:
    """The listener for Prometheus and balancers; that of several workers is their supervisor's."""

    def metrics_text() -> bytes:
        measure()
        return generate_latest()

    host, port = settings.metrics_host, settings.ingress_metrics_port
    return health_listener(host, port, "INGRESS_METRICS_PORT", is_ready, metrics_text)


def _check_parser() -> None:
    """Most of aiohttp's request smuggling faults were in the parser that it falls back to (THREAT_MODEL.md, 5.1)."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise SettingsError("aiohttp runs without its C parser: install its wheel and unset AIOHTTP_NO_EXTENSIONS.")
