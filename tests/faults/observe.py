"""Reads all that a run left in Kafka and ClickHouse, once the pipeline has drained."""

import hashlib
from collections.abc import AsyncIterator, Iterable

import aiohttp
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.registered import Version
from schemas.settings import KafkaSettings
from schemas.topics import EVENT_ID, RAW_OFFSET, RAW_PARTITION, REASON, REPLAYED_FROM
from tests.faults.checker import DeadLetter, Normalized, Observed, RawRecord, Row, Typed
from tests.faults.counters import Counted
from tests.services import PARTITIONS, eventually

COLUMNS = "_raw_partition, _raw_offset, event_id"


async def observe(
    kafka: KafkaSettings, clickhouse_url: str, teams: Iterable[str], schemas: Iterable[Version], counted: Counted
) -> Observed:
    """Everything, as it lies there now, beside what was counted."""
    topics = kafka.topics
    return Observed(
        raw=await raw_records(kafka),
        normalized=[_normalized(record) async for record in _records(kafka, topics.normalized)],
        dead_letters=[_dead_letter(record) async for record in _records(kafka, topics.dead_letter)],
        rows=await _rows(clickhouse_url, "warehouse.events", "team"),
        typed={str(version.subject): await _typed(clickhouse_url, version) for version in schemas},
        views={team: await _rows(clickhouse_url, f"{team}.events", f"'{team}'") for team in teams},
        lag=await lag(kafka),
        counted=counted,
    )


async def raw_records(kafka: KafkaSettings) -> list[RawRecord]:
    """Those alone."""
    return [_raw(record) async for record in _records(kafka, kafka.topics.raw)]


async def length(kafka: KafkaSettings, topic: str) -> int:
    """How many records were ever written to a topic."""
    async with AIOKafkaConsumer(**kafka.kafka_options()) as consumer:
        return sum((await consumer.end_offsets(_partitions(topic))).values())


async def drained(kafka: KafkaSettings, seconds: float) -> None:
    """Wait until both groups have read and committed all that there is.

    Raises:
        TimeoutError: where neither gets on for so long.
    """
    least = sum((await lag(kafka)).values())

    async def less() -> bool:
        nonlocal least
        before, least = least, min(least, sum((await lag(kafka)).values()))
        return least < before

    while least:
        await eventually(less, f"the lag returns to zero; {least} records are left", seconds)


async def lag(kafka: KafkaSettings) -> dict[str, int]:
    """Records that each group has not committed."""
    topics = kafka.topics
    return {
        topics.stream_group: await _group_lag(kafka, topics.stream_group, topics.raw),
        topics.sink_group: await _group_lag(kafka, topics.sink_group, topics.normalized),
    }


async def _group_lag(kafka: KafkaSettings, group: str, topic: str) -> int:
    admin = AIOKafkaAdminClient(**kafka.kafka_options())
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    async with AIOKafkaConsumer(**kafka.kafka_options()) as consumer:
        ends = await consumer.end_offsets(_partitions(topic))
    return sum(end - (committed[part].offset if part in committed else 0) for part, end in ends.items())


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]


async def _records(kafka: KafkaSettings, topic: str) -> AsyncIterator[ConsumerRecord]:
    """Every record of a topic, partition by partition in order."""
    async with AIOKafkaConsumer(**kafka.kafka_options()) as consumer:
        for part in _partitions(topic):
            consumer.assign([part])
            await consumer.seek_to_beginning(part)
            end = (await consumer.end_offsets([part]))[part]
            while await consumer.position(part) < end:
                for record in (await consumer.getmany(part, timeout_ms=500)).get(part, []):
                    yield record


def _raw(record: ConsumerRecord) -> RawRecord:
    headers = dict(record.headers)
    offset = (record.partition, record.offset)
    digest = hashlib.sha256(record.value).hexdigest()
    return RawRecord(offset, headers[EVENT_ID].decode(), record.key.decode(), digest, REPLAYED_FROM in headers)


def _normalized(record: ConsumerRecord) -> Normalized:
    headers = dict(record.headers)
    return Normalized((record.partition, int(headers[RAW_OFFSET])), headers[EVENT_ID].decode())


def _dead_letter(record: ConsumerRecord) -> DeadLetter:
    headers = dict(record.headers)
    offset = (int(headers[RAW_PARTITION]), int(headers[RAW_OFFSET]))
    return DeadLetter(offset, headers.get(REASON, b"").decode(), hashlib.sha256(record.value).hexdigest())


async def _typed(clickhouse_url: str, version: Version) -> Typed:
    team, event = version.subject.team, version.subject.event
    of_event = f"WHERE team = '{team}' AND event = '{event}'"
    return Typed(
        await _rows(clickhouse_url, f"warehouse.events {of_event}", "team"),
        await _rows(clickhouse_url, f"warehouse.`{team}.{version.table}`", f"'{team}'"),
        await _rows(clickhouse_url, f"warehouse.discards {of_event}", "team"),
    )


async def _rows(clickhouse_url: str, table: str, team: str) -> list[Row]:
    query = f"SELECT {COLUMNS}, {team} FROM {table} FORMAT TSV"
    async with aiohttp.ClientSession() as session, session.post(clickhouse_url, data=query) as answer:
        text = await answer.text()
        if answer.status != 200:
            raise RuntimeError(text)
    fields = (line.split("\t") for line in text.splitlines())
    return [Row((int(partition), int(offset)), event_id, slug) for partition, offset, event_id, slug in fields]
