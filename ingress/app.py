"""The wiring of the ingress, on one page: what it is made of, and in which order it starts and stops."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

from aiohttp import http_parser, web
from prometheus_client import generate_latest

from ingress.accounts.database import Database
from ingress.accounts.store import Accounts
from ingress.auth import TokenSnapshot
from ingress.connections import allow_connections
from ingress.cors import preflight
from ingress.handlers import Events
from ingress.health import Health
from ingress.lifecycle import first, running, stop_signal
from ingress.limits import Buckets
from ingress.producer import Producer
from ingress.receipts.handler import Receipts
from ingress.receipts.look_up import Sources
from ingress.receipts.record_log import RecordLog
from ingress.receipts.warehouse import Warehouse
from ingress.refusal_topic import publish_refusals
from ingress.refusals import Refusals
from ingress.revocation import Revocation
from ingress.routes import routes
from ingress.server import PublicServer
from ingress.settings import IngressSettings
from ingress.spill import Spill, stranded_folders, worker_folder
from ingress.worker import Worker, reporting
from schemas.connecting import limit_connecting
from schemas.health import health_listener
from schemas.logs import get_logger
from schemas.metrics import HTTP_CONNECTIONS, INGRESS_READY, TOKENS_AGE_SECONDS
from schemas.settings import SettingsError, cannot_listen

# For so long at most: without Kafka or accounts, the others can do no more.
READY_SECONDS = 5.0
READY_POLL_SECONDS = 0.02
# What is left of requests that did not finish within INGRESS_SHUTDOWN_SECONDS.
CUT_OFF_SECONDS = 1
# A batch is thousands of small objects, none of them in a cycle: looking for cycles after each 700, as is Python's
# default, took a fifth of the time.
GARBAGE_THRESHOLDS = (100_000, 20, 50)

_log = get_logger(__name__)


async def serve(settings: IngressSettings, worker: Worker | None = None) -> None:
    """Run until SIGTERM or SIGINT, alone or as one of several workers.

    Starts from top to bottom and stops from bottom to top: not ready, no new connections, requests finish, lanes
    flush, Kafka and accounts close, and who asks for health is answered until the end.

    Raises:
        SettingsError: where it cannot listen, or not use the spill's folder.
        ProducerFailed: where it must be started anew.
    """
    _check_parser()
    limit_connecting(settings.kafka_connect_seconds)
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    stop = stop_signal()
    database = Database(settings.accounts_url.get_secret_value(), create=False)
    buckets = Buckets(settings.ingress_team_events_per_second, settings.ingress_token_events_per_second)
    accounts = Accounts(database)
    tokens = TokenSnapshot(accounts, buckets)
    producer = _producer(settings, worker.number if worker else 0)
    health = Health(tokens, producer)
    log, warehouse = RecordLog(settings, settings.ingress_receipt_max_records), _warehouse(settings)
    sources = Sources(log, warehouse, settings.ingress_spill_dir)
    receipts = Receipts(tokens, sources, settings.ingress_receipts_per_second)
    refusals = Refusals() if settings.ingress_refusals else None
    events = Events(settings, tokens, producer, refusals)
    paths = routes(events, preflight(tokens), receipts, Revocation(tokens, accounts), health)
    public = PublicServer(paths, settings, health, allow_connections(settings.ingress_max_connections))
    work = [tokens.keep_fresh(), tokens.use.keep_written(), producer.run()]
    if refusals:
        work.append(publish_refusals(settings, refusals))

    def measure() -> None:
        producer.measure()
        TOKENS_AGE_SECONDS.set(tokens.age_seconds())
        HTTP_CONNECTIONS.set(public.open_connections)
        INGRESS_READY.set(health.is_ready())

    async with (
        reporting(worker, health.is_ready, measure) if worker else _operations(settings, health.is_ready, measure),
        database,
        running(*work) as background,
        producer,
        log,
        warehouse or nullcontext(),
        _after_others(health, stop) if worker else nullcontext(),
        _public(public, settings, reuse_port=worker is not None),
        health,
    ):
        _log.info("listening", host=settings.ingress_host, port=settings.ingress_port)
        await first(stop, background)
        _log.info("stopping", pending_bytes=producer.pending_bytes())
    _log.info("stopped")


def _producer(settings: IngressSettings, worker: int) -> Producer:
    """With a spill, each worker has a folder and a share of its own; a process alone is worker 0."""
    if (folder := settings.ingress_spill_dir) is None:
        return Producer(settings, settings.ingress_max_pending_bytes)
    own = worker_folder(folder, worker)
    if worker <= 1 and (stranded := stranded_folders(folder, settings.ingress_workers)):
        todo = "accepted events lie there: set INGRESS_WORKERS as it was until they are drained"
        _log.error("spill_stranded", folders=[str(path) for path in stranded], todo=todo)
    spill = Spill(own, settings.topics.raw, settings.ingress_spill_max_bytes // settings.ingress_workers)
    return Producer(settings, settings.ingress_max_pending_bytes, spill, settings.ingress_spill_after_seconds)


def _warehouse(settings: IngressSettings) -> Warehouse | None:
    url = settings.clickhouse_url
    return Warehouse(url.get_secret_value(), settings.clickhouse_database) if url else None


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
