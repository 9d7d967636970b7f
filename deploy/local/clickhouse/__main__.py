"""`python -m deploy.local.clickhouse`: the endpoint, from its settings to SIGTERM.

Stop order: no new connections, running queries get their time, what is left is cancelled, sessions close, the engine
closes.  Acknowledged inserts are in the tables' files whatever happens: kill -9 loses none.
"""

import asyncio
import os
import signal
import sys

import uvloop
from aiohttp import web

from deploy.local.clickhouse.app import application
from deploy.local.clickhouse.body import Spool
from deploy.local.clickhouse.engine import Engine
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.exchange import Endpoint
from deploy.local.clickhouse.executor import Executor
from deploy.local.clickhouse.sessions import Sessions
from deploy.local.clickhouse.settings import EndpointSettings
from deploy.local.clickhouse.users import UsersFileError, ensure_users
from schemas.logs import configure, get_logger
from schemas.settings import SettingsError, load

_MAX_URL_BYTES = 1 << 20  # http_max_uri_size, ClickHouse's own bound
_CLOSE_SECONDS = 1.0
_SWEEP_SECONDS = 1.0
log = get_logger(__name__)


def main() -> int:
    """Run until told to stop; the exit code says whether it came up."""
    try:
        settings = load(EndpointSettings, "CLICKHOUSE_LOCAL_")
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure("clickhouse", settings.log_level, settings.log_format)
    try:
        uvloop.run(_serve(settings))
    except (UsersFileError, ClickHouseError, OSError) as error:
        log.error("clickhouse cannot start", error=str(error))  # noqa: TRY400 - the message says all; it is no bug
        return 1
    return 0


async def _serve(settings: EndpointSettings) -> None:
    users = ensure_users(settings.users_file)
    engine = Engine(
        settings.clickhouse_local_data_dir,
        settings.clickhouse_local_max_memory_bytes,
        settings.clickhouse_local_analyst_seconds,
    )
    endpoint = Endpoint(
        engine,
        users,
        Executor(engine, settings.clickhouse_local_max_running, settings.clickhouse_local_max_waiting),
        Sessions(settings.clickhouse_local_max_sessions),
        Spool(settings.spool_root, settings.clickhouse_local_data_dir),
        Spool(settings.clickhouse_local_data_dir / "results", settings.clickhouse_local_data_dir),
        settings.clickhouse_local_max_body_bytes,
    )
    runner = web.AppRunner(
        application(endpoint),
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        max_line_size=_MAX_URL_BYTES,
        max_field_size=1 << 16,
        shutdown_timeout=_CLOSE_SECONDS,
    )
    await runner.setup()
    site = web.TCPSite(runner, settings.clickhouse_local_host, settings.clickhouse_local_port)
    await site.start()
    log.info("clickhouse ready", host=site.name, version=engine.version)
    sweeper = asyncio.create_task(_sweep(endpoint))
    await _told_to_stop()
    await site.stop()
    sweeper.cancel()
    await _stop(endpoint, runner, settings.clickhouse_local_stop_seconds)


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


async def _sweep(endpoint: Endpoint) -> None:
    """Close the sessions whose time is over."""
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        for link in endpoint.sessions.take_expired():
            link.close()


async def _stop(endpoint: Endpoint, runner: web.AppRunner, seconds: float) -> None:
    await endpoint.executor.drain(seconds)
    await runner.cleanup()
    for link in endpoint.sessions.take_expired(everything=True):
        link.close()
    endpoint.spool.close()
    endpoint.results.close()
    try:
        await asyncio.wait_for(asyncio.to_thread(endpoint.engine.close), _CLOSE_SECONDS)
    except TimeoutError:
        log.warning("clickhouse closed late", waited_seconds=_CLOSE_SECONDS)
    log.info("clickhouse stopped")
    # A thread may hang in a query that does not end, and asyncio would wait for it; the data needs no farewell.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
