"""Follows `events.schemas`: read to its end before the first event, then as it grows.

Over connections of its own and without a group, since every process needs all of it.  Clients that fail, or stand
still while there is more, are thrown away, and new ones read from the beginning.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.cancellation import told_apart
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.registered import EnvelopeId, Registered, Version, decode_record
from schemas.settings import KafkaSettings

FETCH_MILLISECONDS = 500
# How old news may be of which nobody has asked.
LOOK_SECONDS = 0.5
# The least time from one look to the next: questions in between are answered together.
GATHER_SECONDS = 0.02
ANSWER_SECONDS = 10
RETRY_SECONDS = 1

_log = get_logger(__name__)


class SchemaLog:
    """Keeps what is registered up to date.

    Args:
        settings: the way to Kafka.
        client_id: who reads, as Kafka's logs are to call it.
        registered: is told of each version, and of the envelope's ids.
        on_version: is told after it.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        client_id: str,
        registered: Registered,
        on_version: Callable[[Version], None] = lambda _: None,
    ) -> None:
        self._at = TopicPartition(settings.topics.schemas, 0)
        self._options = settings.kafka_options() | {"client_id": client_id}
        self._registered = registered
        self._on_version = on_version
        self._waiting: list[asyncio.Future[None]] = []
        self._asked = asyncio.Event()
        # Offsets and times of what was read before.
        self._taken: set[tuple[int, int]] = set()

    async def caught_up(self) -> None:
        """Wait until all has been read that is in the topic now, however long Kafka is away.

        A record is written after its schema, so one whose schema is unknown then has none.
        """
        asking = asyncio.get_running_loop().create_future()
        self._waiting.append(asking)
        self._asked.set()
        await asking

    async def follow(self) -> NoReturn:
        """Read for ever; `caught_up` waits for this."""
        while True:
            try:
                with told_apart():
                    await self._follow()
            except (KafkaError, Unavailable, OSError, RuntimeError) as error:
                # RuntimeError is uvloop's word for a connection that was closed: aiokafka writes without asking.
                _log.warning("schemas_unread", error=repr(error), todo="nothing is lost; it is tried until it succeeds")
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> NoReturn:
        async with AsyncExitStack() as stack:
            # Two, since Kafka answers what comes over one connection in turn: the end of the topic would be told when
            # the fetch has waited for more of it.  aiokafka has no types.
            reader, asker = clients = [AIOKafkaConsumer(**self._options, enable_auto_commit=False) for _ in range(2)]
            async with asyncio.timeout(ANSWER_SECONDS):
                for client in clients:
                    stack.push_async_callback(client.stop)
                    await client.start()
                if self._at.topic not in await asker.topics():
                    raise Unavailable(f"There is no topic {self._at.topic}, or it may not be read: create it first.")
                reader.assign([self._at])
                await reader.seek_to_beginning(self._at)
            loop = asyncio.get_running_loop()
            while True:
                next_look = loop.time() + GATHER_SECONDS
                self._asked.clear()
                waiting = list(self._waiting)
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._read_to_end(reader, asker)
                for asking in waiting:
                    self._waiting.remove(asking)
                    if not asking.done():
                        asking.set_result(None)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._asked.wait()
                await asyncio.sleep(next_look - loop.time())

    async def _read_to_end(self, reader: Any, asker: Any) -> None:
        end = (await asker.end_offsets([self._at]))[self._at]
        while await reader.position(self._at) < end:
            self._take(await reader.getmany(self._at, timeout_ms=FETCH_MILLISECONDS))

    def _take(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        for record in fetched.get(self._at, ()):
            if (place := (record.offset, record.timestamp)) in self._taken:
                continue
            self._taken.add(place)
            try:
                found = decode_record(record.key, record.value)
            except ValueError as error:
                _log.error("schema_unreadable", offset=record.offset, error=str(error))
                continue
            if isinstance(found, EnvelopeId):
                self._registered.apply_envelope(found)
            else:
                self._registered.apply(found, record.timestamp)
                self._on_version(found)
