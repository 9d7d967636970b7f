"""What the sink is measured against: the two obvious ways of getting the same records into the same table.

Neither keeps the sink's promise; both are given the same records, table and server.
"""

import time

import clickhouse_connect
from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from schemas.codec import ENVELOPE_CONTAINER, SCHEMA_HEADER_BYTES, decode_envelope
from schemas.settings import ClickHouseSettings, KafkaSettings
from tests.services import PARTITIONS

ROWS_PER_INSERT = 50_000
FETCH_BYTES = 2 << 20


async def clickhouse_alone(clickhouse: ClickHouseSettings, values: list[bytes]) -> float:
    """Seconds that ClickHouse takes for one Avro file with all rows, handed over in one request."""
    container = ENVELOPE_CONTAINER.build([value[SCHEMA_HEADER_BYTES:] for value in values])
    async with await _client(clickhouse) as client:
        started = time.perf_counter()
        await client.raw_insert(_table(clickhouse), ENVELOPE_CONTAINER.columns, container, {"async_insert": 0}, "Avro")
        finished = time.perf_counter()
    return finished - started


async def decode_and_insert(kafka: KafkaSettings, clickhouse: ClickHouseSettings, rows: int) -> float:
    """Seconds for a plain loop: fetch, decode each record with fastavro, insert rows with clickhouse-connect."""
    topics = [TopicPartition(kafka.topics.normalized, partition) for partition in range(PARTITIONS)]
    decoded: list[list[object]] = []
    async with (
        await _client(clickhouse) as client,
        AIOKafkaConsumer(**kafka.kafka_options(), max_partition_fetch_bytes=FETCH_BYTES) as consumer,
    ):
        consumer.assign(topics)
        await consumer.seek_to_beginning(*topics)
        started = time.perf_counter()
        while rows:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                decoded += [list(decode_envelope(record.value).values()) for record in records]
            if len(decoded) >= min(rows, ROWS_PER_INSERT):
                await client.insert(_table(clickhouse), decoded, ENVELOPE_CONTAINER.columns)
                rows -= len(decoded)
                decoded = []
        finished = time.perf_counter()
    return finished - started


async def _client(clickhouse: ClickHouseSettings) -> AsyncClient:
    return await clickhouse_connect.get_async_client(dsn=clickhouse.clickhouse_url.get_secret_value(), compress=False)


def _table(clickhouse: ClickHouseSettings) -> str:
    return f"{clickhouse.clickhouse_database}.events"
