"""Two other ways to do the stream's work, to measure it against: `python -m tests.bench.rivals_stream plain|faust`.

Both call the same normalize function and produce with the same settings, except that aiokafka packs LZ4 harder when
it is not told otherwise (`schemas/compressing.py`).  They are what one would write first, not what one should run:
neither survives the faults that `tests/integration/test_stream_faults.py` puts the stream through.
"""

import asyncio
import sys
from collections.abc import Sequence

import faust
import mode.loop
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faust.types import StreamT

from schemas.settings import load
from schemas.topics import MAX_RECORD_BYTES
from stream.normalize import normalize, normalize_run
from stream.records import Record
from stream.settings import StreamSettings


async def plain(settings: StreamSettings) -> None:
    """A plain aiokafka loop: fetch, normalize, one batch per partition, await them, commit."""
    consumer = AIOKafkaConsumer(
        settings.topics.raw,
        **settings.kafka_options(),
        group_id=settings.topics.stream_group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=settings.stream_max_run_records,
    )
    producer = AIOKafkaProducer(
        **settings.kafka_options(),
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=MAX_RECORD_BYTES,
    )
    await consumer.start()
    await producer.start()
    while True:
        fetched = await consumer.getmany(timeout_ms=1000)
        await asyncio.gather(
            *(
                _send(producer, settings.topics.normalized, tp, normalize_run(run).normalized)
                for tp, run in fetched.items()
            )
        )
        if fetched:
            await consumer.commit({tp: run[-1].offset + 1 for tp, run in fetched.items()})


async def _send(producer: AIOKafkaProducer, topic: str, tp: TopicPartition, records: Sequence[Record]) -> None:
    batch = producer.create_batch()
    for key, value, headers in records:
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            batch.close()
            await (await producer.send_batch(batch, topic, partition=tp.partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=headers)
    batch.close()
    await (await producer.send_batch(batch, topic, partition=tp.partition))


def stock_faust(settings: StreamSettings) -> None:
    """Faust as its tutorial shows it: one event at a time, sent with topic.send."""
    mode.loop.use("uvloop")
    app = faust.App(
        settings.topics.stream_group,
        broker=f"kafka://{settings.kafka_bootstrap_servers}",
        topic_disable_leader=True,
        topic_allow_declare=False,
        store="memory://",
        datadir=sys.argv[2],
        broker_max_poll_records=settings.stream_max_run_records,
        broker_commit_interval=settings.stream_commit_interval_seconds,
        producer_acks=-1,
        producer_compression_type="lz4",
        producer_max_batch_size=MAX_RECORD_BYTES,
    )
    raw = app.topic(settings.topics.raw, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    normalized = app.topic(settings.topics.normalized, key_serializer="raw", value_serializer="raw")

    async def normalize_events(stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            key, value, headers = normalize(event.message)
            await normalized.send(key=key, value=value, headers=headers, partition=event.message.partition)

    app.agent(raw)(normalize_events)
    sys.argv = ["rival", "worker", "--loglevel", "warn", "--without-web"]
    app.main()


if __name__ == "__main__":
    _settings = load(StreamSettings, "STREAM_")
    if sys.argv[1] == "plain":
        uvloop.run(plain(_settings))
    else:
        stock_faust(_settings)
