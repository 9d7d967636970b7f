"""Publishes versions to `events.schemas`: the registry's only module that knows aiokafka.

Invariant: the versions of a subject are published in the order of their registration, each after the one before it was
acknowledged, and after the envelope's ids where another registry gives them.  Kafka is not connected to before there is
something to publish.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NoReturn

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingress.backoff import pause_seconds
from ingress.registry.store import SchemaStore
from schemas.cancellation import told_apart
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.registered import EnvelopeId, Version
from schemas.settings import KafkaSettings
from schemas.topics import MAX_RECORD_BYTES

# What a process that has died left, or another one, is found so soon.
LOOK_SECONDS = 2.0
ANSWER_SECONDS = 10.0
REQUEST_MILLISECONDS = 5_000
CLOSE_SECONDS = 1.0
PARTITION = 0
_MAX_REQUEST_BYTES = MAX_RECORD_BYTES + (64 << 10)

_log = get_logger(__name__)


class Unpublished(Unavailable):
    """It is kept in the accounts database, and Kafka has not acknowledged it yet."""


class Publisher:
    """Brings to Kafka what the accounts database has as unpublished.

    Args:
        settings: the way to Kafka.
        store: where versions wait.
        look_seconds: how often the store is looked at unasked.
    """

    def __init__(self, settings: KafkaSettings, store: SchemaStore, look_seconds: float = LOOK_SECONDS) -> None:
        self._settings = settings
        self._store = store
        self._look_seconds = look_seconds
        # aiokafka has no types.
        self._kafka: Any = None
        self._wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._envelope_ids: Sequence[EnvelopeId] = ()

    def publish_first(self, envelope_ids: Sequence[EnvelopeId]) -> None:
        """Have these ids published before anything else, again where they were before."""
        self._envelope_ids = envelope_ids

    async def published(self, seconds: float) -> None:
        """Wait until all has been published that is committed now; `run` does it.

        Raises:
            Unpublished: where that takes longer; it is published later.
        """
        asking = asyncio.get_running_loop().create_future()
        self._waiting.append(asking)
        self._wanted.set()
        try:
            async with asyncio.timeout(seconds):
                await asking
        except TimeoutError as error:
            message = "It is kept, but Kafka has not acknowledged it yet; it is published as soon as Kafka does."
            raise Unpublished(message) from error

    async def run(self) -> NoReturn:
        """Publish, for ever; while Kafka or the database is away, try again with back-off."""
        failures = 0
        try:
            while True:
                self._wanted.clear()
                waiting = [asking for asking in self._waiting if not asking.done()]
                try:
                    await self.publish_all()
                except Unavailable as error:
                    failures += 1
                    _log.warning("schemas_unpublished", reason=str(error), todo="nothing is lost; it is tried again")
                    await asyncio.sleep(pause_seconds(failures))
                    continue
                failures = 0
                self._answer(waiting)
                await self._pause()
        finally:
            await self.close()

    async def publish_all(self) -> None:
        """Publish what waits.

        Raises:
            Unavailable: where Kafka or the database does not answer.
        """
        envelope_ids = self._envelope_ids
        for each in envelope_ids:
            await self._send(each)
        if self._envelope_ids is envelope_ids:
            self._envelope_ids = ()
        for pending in await self._store.pending():
            version = pending.version
            await self._send(version)
            await self._store.mark_published(pending)
            _log.info("schema_published", subject=str(version.subject), version=version.number, deleted=version.deleted)

    async def close(self) -> None:
        """Leave Kafka."""
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await kafka.stop()
            except (KafkaError, OSError, TimeoutError, RuntimeError) as error:
                _log.debug("kafka_not_left", reason=repr(error))

    async def _send(self, record: Version | EnvelopeId) -> None:
        try:
            with told_apart():
                await self._send_now(record)
        except (KafkaError, OSError, TimeoutError, RuntimeError) as error:
            # RuntimeError is uvloop's word for a connection that was closed: aiokafka writes without asking.
            await self.close()
            raise Unavailable(f"Kafka at {self._settings.kafka_bootstrap_servers}: {error!r}") from error

    async def _send_now(self, record: Version | EnvelopeId) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            if self._kafka is None:
                self._kafka = AIOKafkaProducer(
                    **self._settings.kafka_options(),
                    client_id="events-registry",
                    acks="all",
                    max_request_size=_MAX_REQUEST_BYTES,
                    request_timeout_ms=REQUEST_MILLISECONDS,
                )
                await self._kafka.start()
            topic = self._settings.topics.schemas
            await self._kafka.send_and_wait(topic, record.encode(), record.key, PARTITION)

    def _answer(self, waiting: list[asyncio.Future[None]]) -> None:
        for asking in waiting:
            if not asking.done():
                asking.set_result(None)
        self._waiting = [asking for asking in self._waiting if not asking.done()]

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._look_seconds):
                await self._wanted.wait()
        except TimeoutError:
            pass
