"""`events.refusals`, best effort: what cannot be published soon is dropped, and counted.

A producer of its own: acknowledged by one broker, and with a buffer that the raw topic has no share in.
"""

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ingress.backoff import pause_seconds
from ingress.refusals import RefusalRecord, Refusals
from schemas.cancellation import told_apart
from schemas.compressing import fast_lz4
from schemas.logs import get_logger
from schemas.metrics import REFUSALS_DROPPED
from schemas.settings import KafkaSettings

POLL_SECONDS = 0.1
REQUEST_SECONDS = 5
LEAVE_SECONDS = 1
BATCH_BYTES = 64 << 10
LINGER_MILLISECONDS = 20

_log = get_logger(__name__)


async def publish_refusals(settings: KafkaSettings, refusals: Refusals) -> None:
    """Publish what is noted, for ever."""
    kafka = await _connected(settings)
    try:
        while True:
            while refusals.waiting:
                await _send(kafka, settings.topics.refusals, refusals.waiting.popleft())
            await asyncio.sleep(POLL_SECONDS)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await kafka.stop()


async def _send(kafka: AIOKafkaProducer, topic: str, record: RefusalRecord) -> None:
    """Hand one record over; waits while too many are under way."""
    try:
        with told_apart():
            sent: asyncio.Future[object] = await kafka.send(topic, record.value, headers=record.headers)
    except KafkaError as error:
        _drop(error)
    else:
        sent.add_done_callback(_count_failure)


def _count_failure(sent: "asyncio.Future[object]") -> None:
    if not sent.cancelled() and (error := sent.exception()):
        _drop(error)


def _drop(error: BaseException) -> None:
    REFUSALS_DROPPED.labels("kafka").inc()
    _log.debug("refusal_not_published", reason=repr(error))


async def _connected(settings: KafkaSettings) -> AIOKafkaProducer:
    failures = 0
    while True:
        kafka = AIOKafkaProducer(
            **settings.kafka_options(),
            client_id="events-refusals",
            acks=1,
            compression_type=fast_lz4(),
            linger_ms=LINGER_MILLISECONDS,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_SECONDS * 1_000,
        )
        try:
            with told_apart():
                await kafka.start()
        except (KafkaError, OSError) as error:
            await kafka.stop()
            failures += 1
            _log.debug("refusals_without_kafka", reason=repr(error))
            await asyncio.sleep(pause_seconds(failures))
        except asyncio.CancelledError:
            await kafka.stop()
            raise
        else:
            return kafka
