"""Ends a process that stands still; its questions to Kafka go over connections of their own.

So a client that hangs can neither hide itself nor pass for a Kafka that is away.  Every question is bounded in time;
where one had no answer, the next is asked over new connections.
"""

import asyncio
import time
from collections.abc import Collection, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, NoReturn, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.fatal import end_process
from schemas.settings import KafkaSettings
from schemas.stalls import LOOK_SECONDS, SILENCE, Answer, Stalls, Standing

ANSWER_SECONDS = 5
CLIENT_SECONDS = 3
LEAVE_SECONDS = 1
T = TypeVar("T")


class ProcessStalled(Exception):
    """It stands still although Kafka answers; a new process starts afresh."""


class Watched(Protocol):
    """The consumer of a process, as its watchdog sees it."""

    @property
    def partitions(self) -> Collection[int]:
        """Those that it has at the moment."""

    def standing(self) -> Standing:
        """Where it stands."""

    def note_ends(self, ends: Mapping[int, int]) -> None:
        """The ends of its partitions' logs: how far it is behind."""


async def look_after(watched: Watched, probe: "Probe", stalls: Stalls) -> NoReturn:
    """Look again and again, and end the process when it stands still, or cannot be looked after any more."""
    try:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            answer = await probe.ask(watched.partitions)
            watched.note_ends(answer.ends)
            if stalled := stalls.look(watched.standing(), answer, time.monotonic()):
                end_process(ProcessStalled("; ".join(stalled)))
    except Exception as error:  # noqa: BLE001 - raised, it would wait for clients that hang
        end_process(error)
    finally:
        await probe.leave()


class Probe:
    """Asks Kafka about one topic that is read, the group that reads it, and the topics that are written to.

    It takes no right that the process does not have anyway.
    """

    def __init__(self, settings: KafkaSettings, topic: str, group: str, outputs: Collection[str]) -> None:
        self._options = settings.kafka_options() | {
            "client_id": "events-watchdog",
            "request_timeout_ms": CLIENT_SECONDS * 1_000,
        }
        self._topic = topic
        self._group = group
        self._outputs = list(outputs)
        self._clients: _Clients | None = None

    async def ask(self, partitions: Iterable[int]) -> Answer:
        """What Kafka answers; what it does not answer soon counts as away."""
        self._clients = self._clients or await _answered(_connect(self._options))
        if (clients := self._clients) is None:
            return SILENCE
        partitions = list(partitions)
        group, whole, *ends = await asyncio.gather(
            _answered(clients.coordinates(self._group)),
            _answered(clients.holds_whole(self._outputs)),
            *(_answered(clients.end(TopicPartition(self._topic, partition))) for partition in partitions),
        )
        known = {partition: end for partition, end in zip(partitions, ends, strict=True) if end is not None}
        if group is None or whole is None or len(known) < len(partitions):
            await self._disconnect(ANSWER_SECONDS)
        return Answer(known, group=bool(group), whole=bool(whole))

    async def leave(self) -> None:
        """Disconnect; a client that hangs is left to itself."""
        await self._disconnect(LEAVE_SECONDS)

    async def _disconnect(self, seconds: float) -> None:
        clients, self._clients = self._clients, None
        if clients:
            await _answered(clients.close(), seconds)


class _Clients:
    """Two clients of aiokafka's, which has no types."""

    def __init__(self, stack: AsyncExitStack, consumer: Any, admin: Any) -> None:
        self._stack = stack
        self._consumer = consumer
        self._admin = admin

    async def end(self, at: TopicPartition) -> int:
        """The end of a partition's log, as its leader tells it."""
        end: int = (await self._consumer.end_offsets([at]))[at]
        return end

    async def coordinates(self, group: str) -> bool:
        """Whether the group's coordinator is there, and has loaded it."""
        (answer,) = await self._admin.describe_consumer_groups([group])
        return all(error == 0 for error, *_ in answer.groups)

    async def holds_whole(self, topics: list[str]) -> bool:
        """Whether all replicas of these topics are in sync."""
        partitions = [part for topic in await self._admin.describe_topics(topics) for part in topic["partitions"]]
        return all(part["leader"] >= 0 and set(part["isr"]) == set(part["replicas"]) for part in partitions)

    async def close(self) -> None:
        """Disconnect."""
        await self._stack.aclose()


async def _connect(options: Mapping[str, object]) -> _Clients:
    stack = AsyncExitStack()
    try:
        consumer, admin = AIOKafkaConsumer(**options, enable_auto_commit=False), AIOKafkaAdminClient(**options)
        stack.push_async_callback(consumer.stop)
        stack.push_async_callback(admin.close)
        await consumer.start()
        await admin.start()
    except BaseException:
        await stack.aclose()
        raise
    return _Clients(stack, consumer, admin)


async def _answered(question: Coroutine[None, None, T], seconds: float = ANSWER_SECONDS) -> T | None:
    """The answer; None where Kafka gives none in time.

    Not asyncio.timeout: aiokafka has tasks that swallow their cancellation (aiokafka#847).
    """
    asking = asyncio.create_task(question)
    try:
        await asyncio.wait({asking}, timeout=seconds)
    finally:
        asking.cancel()
    if not asking.done() or asking.cancelled():
        return None
    try:
        return asking.result()
    except (KafkaError, TimeoutError, OSError, RuntimeError):
        # RuntimeError is uvloop's word for a connection that was closed: aiokafka writes without asking.
        return None
