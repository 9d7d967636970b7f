"""Wiring: the Faust app around our transport, and the order of start and stop."""

import asyncio
import logging
import random
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import NoReturn, TypeVar

import faust
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager
from faust.types import AppT, EventT, Message, StreamT

from schemas.errors import Unavailable
from schemas.fatal import end_process, leave_process
from schemas.health import health_listener
from schemas.logs import get_logger
from schemas.registered import Registered
from schemas.schema_log import SchemaLog
from schemas.stalls import Stalls
from schemas.watchdog import Probe, look_after
from stream.agents import Normalizer
from stream.producer import Producer, TopicMissing, connect
from stream.progress import Run
from stream.raw_log import SESSION_SECONDS
from stream.settings import StreamSettings
from stream.transport import Consumer, Transport
from stream.writers import Writers

MAX_PAUSE_SECONDS = 10
MAX_DOUBLINGS = 8
HANDOVER_SECONDS = 5
# For the last commit and leaving the group.
LEAVE_SECONDS = 4

_log = get_logger(__name__)
T = TypeVar("T")

_faust_logger = logging.getLogger("faust")
# Their warnings tell of slow timers and of sensors that we do not have.
for _library in (_faust_logger, logging.getLogger("mode")):
    _library.setLevel(logging.ERROR)


class CannotStart(Exception):
    """The surroundings need a change first; the message says which."""


class _Boot(BootStrategy):  # type: ignore[misc] # Faust is not typed for its users
    """The services that runs need: no web server, no producer of Faust's, no leader, no replies."""

    enable_web = False

    def server(self) -> Iterable[object]:
        return [self.app.consumer, self.app.agents, self.app.topics, self.app.tables]


class _NoTables(TableManager):  # type: ignore[misc] # Faust is not typed for its users
    """Starts at once: Faust's own waits a second for tables to be declared."""

    logger = _faust_logger

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _Runs(faust.Schema):  # type: ignore[misc] # Faust is not typed for its users
    """Hands a message's value through as it is: the transport has put a Run there."""

    def compile(self, app: AppT, **_options: object) -> Callable[..., object]:
        async def decode(message: Message, **_options: object) -> EventT:
            return faust.Event(app, None, message.value, {}, message)

        return decode


class StreamApp(faust.App):  # type: ignore[misc] # Faust is not typed for its users
    """A Faust app in which every crash, of whichever service, ends the process."""

    BootStrategy = _Boot
    logger = _faust_logger
    stopping = False

    def _crash(self, reason: BaseException) -> None:
        if not self.stopping:
            end_process(reason)
        super()._crash(reason)

    async def _on_agent_error(self, _agent: object, error: BaseException) -> None:
        end_process(error)

    def _create_directories(self) -> None:
        """None: there are no tables to keep."""


def make_app(settings: StreamSettings, normalizer: Normalizer, schema_log: SchemaLog) -> StreamApp:
    """The app and its one agent."""
    app = StreamApp(
        settings.topics.stream_group,
        broker="kafka://",
        broker_commit_interval=settings.stream_commit_interval_seconds,
        stream_wait_empty=False,
        TableManager=_NoTables,
        topic_disable_leader=True,
        topic_allow_declare=False,
    )
    app.transport = Transport(app, settings, schema_log.caught_up)

    async def normalize(stream: StreamT[Run]) -> None:
        await normalizer.take(stream.noack(), app.consumer)

    async def hand_over(_app: object, _revoked: object, **_options: object) -> None:
        """Finish and commit what was begun, so that the next owner need not do it again."""
        try:
            async with asyncio.timeout(HANDOVER_SECONDS):
                await normalizer.drained(HANDOVER_SECONDS)
                await app.consumer.commit()
        except TimeoutError:
            _log.warning("runs_not_handed_over", seconds=HANDOVER_SECONDS)

    app.agent(app.topic(settings.topics.raw, schema=_Runs(), acks=False), name="normalize")(normalize)
    app.on_partitions_revoked.connect(hand_over, weak=False)
    return app


async def run(settings: StreamSettings) -> None:
    """Run until SIGTERM or SIGINT; what is in flight then is finished and committed.

    Raises:
        CannotStart: where a topic is not as it must be.
        SettingsError: where the metrics port cannot be had.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    consumers: list[Consumer] = []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            health_listener(
                settings.metrics_host,
                settings.stream_metrics_port,
                "STREAM_METRICS_PORT",
                lambda: any(consumer.joined for consumer in consumers),
            )
        )
        producer = await _unless(stop, _connected(settings))
        if producer is None:
            return
        stack.push_async_callback(producer.stop)
        await _unless(stop, _check_partitions(producer, settings))
        registered = Registered()
        schema_log = SchemaLog(settings, "events-stream-schemas", registered)
        stack.callback(_follow(schema_log).cancel)
        await _unless(stop, schema_log.caught_up())
        normalizer = Normalizer(producer, settings, Writers(registered, settings.dead_letter_bounds), end_process)
        app = make_app(settings, normalizer, schema_log)
        consumers.append(app.consumer)
        try:
            await _serve(app, normalizer, stop, settings)
        except Exception as error:  # noqa: BLE001 - before the stack is unwound: that waits for Kafka, for ever if need be
            end_process(error)


async def _serve(app: StreamApp, normalizer: Normalizer, stop: asyncio.Event, settings: StreamSettings) -> None:
    starting, stopping = asyncio.create_task(app.start()), asyncio.create_task(stop.wait())
    watching = asyncio.create_task(_watch(app.consumer, settings))
    await asyncio.wait({starting, stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        _log.info("stream_ready", topic=app.transport.settings.topics.raw)
    await asyncio.wait({stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        watching.result()
    watching.cancel()
    _log.info("stream_stopping")
    app.stopping = True
    app.consumer.stop_flow()
    app.flow_control.suspend()
    drained = await normalizer.drained(settings.stream_shutdown_seconds)
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await app.stop()
    except TimeoutError:
        drained = False
    if not drained:
        leave_process(settings.stream_shutdown_seconds)
    starting.cancel()


async def _watch(consumer: Consumer, settings: StreamSettings) -> None:
    """Not as a service of Faust's: those rest while a rebalance lasts, which may be for ever."""
    topics = settings.topics
    probe = Probe(settings, topics.raw, topics.stream_group, settings.outputs)
    await look_after(consumer, probe, Stalls(settings.stream_stall_seconds, SESSION_SECONDS))


def _follow(schema_log: SchemaLog) -> asyncio.Task[NoReturn]:
    """Follow what is registered; it has no end, so whatever ends it ends the process."""
    following = asyncio.create_task(schema_log.follow())

    def ended(task: asyncio.Task[NoReturn]) -> None:
        if not task.cancelled() and (error := task.exception()):
            end_process(error)

    following.add_done_callback(ended)
    return following


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, T]) -> T | None:
    """What the work returns; None where the process is to stop before."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.wait({working})
    return None


async def _connected(settings: StreamSettings) -> Producer:
    """A producer, however long Kafka is away."""
    failures = 0
    while True:
        try:
            return await connect(settings)
        except Unavailable as error:
            failures += 1
            _log.warning("kafka_not_reached", reason=str(error))
        pause = min(MAX_PAUSE_SECONDS, 2 ** min(failures, MAX_DOUBLINGS))
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter


async def _check_partitions(producer: Producer, settings: StreamSettings) -> None:
    """A record keeps its partition number, so the outputs must have all that the raw topic has."""
    topics = settings.topics
    try:
        await producer.partitions(topics.schemas)
        raw = await producer.partitions(topics.raw)
        for output in settings.outputs:
            if (count := await producer.partitions(output)) != raw:
                raise CannotStart(
                    f"{output} has {count} partitions and {topics.raw} has {raw}: give both the same number."
                )
    except TopicMissing as error:
        raise CannotStart(f"There is no topic {error}, or it may not be seen: create it first.") from error
