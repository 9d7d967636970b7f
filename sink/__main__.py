"""`python -m sink`: reads its settings, runs until SIGTERM or SIGINT, and ends non-zero on anything unexpected."""

import asyncio
import gc
import signal
import sys
from contextlib import AsyncExitStack

import uvloop

from schemas.connecting import limit_connecting
from schemas.fatal import end_process, leave_process
from schemas.health import health_listener
from schemas.logs import configure, get_logger
from schemas.registered import Registered
from schemas.schema_log import SchemaLog
from schemas.settings import SettingsError, load
from schemas.stalls import Stalls
from schemas.watchdog import Probe, look_after
from sink.audit_watch import Watch
from sink.consumer import Consumer
from sink.dead_letter_table import DeadLetterTable
from sink.inserts import Targets
from sink.kafka import DeadLetters, Source
from sink.partition import Ways
from sink.settings import SinkSettings
from sink.tables import Tables
from sink.writer import Writer

EXIT_CONFIGURATION = 2
LETTERS_STOP_SECONDS = 5.0

log = get_logger("sink")


async def serve(settings: SinkSettings) -> None:
    """Run one sink until a signal comes.

    The order of stopping: no more fetching, what is collected is inserted and committed, the group is left.
    """
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(settings, settings.sink_insert_timeout_seconds))
        dead_letters, source = DeadLetters(settings), Source(settings)
        stack.push_async_callback(dead_letters.stop)
        stack.push_async_callback(source.stop)
        database, registered = settings.clickhouse_database, Registered()
        tables, targets = Tables(writer, database, registered), Targets(database, registered)
        schemas = SchemaLog(settings, "events-sink", registered, tables.note)
        ways = Ways(source, writer, tables, targets, dead_letters, settings.limits, registered)
        consumer = Consumer(ways, schemas, settings.sink_stop_timeout_seconds)
        await stack.enter_async_context(
            health_listener(
                settings.metrics_host, settings.sink_metrics_port, "SINK_METRICS_PORT", lambda: consumer.ready
            )
        )
        if settings.sink_audit_interval_seconds:
            audit = asyncio.create_task(Watch(settings, lambda: consumer.partitions).run())
            stack.callback(audit.cancel)
        letters = asyncio.create_task(DeadLetterTable(settings, lambda: consumer.partitions).run())
        stack.push_async_callback(_ended, letters)
        log.info("sink_started", metrics_port=settings.sink_metrics_port)
        topics = settings.topics
        probe = Probe(settings, topics.normalized, topics.sink_group, [topics.dead_letter])
        stalls = Stalls(settings.sink_stall_seconds, settings.sink_session_timeout_seconds)
        try:
            watching = look_after(consumer, probe, stalls)
            await consumer.run(stop, watching, schemas.follow(), tables.keep_up())
        except Exception as error:  # noqa: BLE001 - before the stack is unwound: that waits for Kafka, for ever if need be
            end_process(error)
    log.info("sink_stopped")


async def _ended(letters: asyncio.Task[None]) -> None:
    """Cancel it; what it has not committed is stored again, so a client of Kafka that hangs is left to itself."""
    letters.cancel()
    _, late = await asyncio.wait({letters}, timeout=LETTERS_STOP_SECONDS)
    if late:
        leave_process(LETTERS_STOP_SECONDS)


def main() -> None:
    """The process."""
    # Rows that wait are many, and no cycles: by default the collector walks them over and over, for half of our time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    try:
        settings = load(SinkSettings, "SINK_")
        configure("sink", settings.log_level, settings.log_format)
        limit_connecting(settings.kafka_connect_seconds)
        uvloop.run(serve(settings))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for whoever started it
        sys.exit(EXIT_CONFIGURATION)
    except BaseException:
        log.exception("sink_failed", todo="start it again; nothing was committed past this")
        sys.exit(1)


if __name__ == "__main__":
    main()
