"""Rows per second of the sink beside its rivals, each in turn on the same records; empty tables before each.

`python -m tests.bench.sink` prints them alone.
"""

import asyncio
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import clickhouse_connect
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from deploy.local.clickhouse.users import Role
from deploy.topics import create_topics
from schemas.ddl import warehouse_statements
from schemas.settings import ClickHouseSettings, KafkaSettings
from tests.bench.figures import COMPARISON_HEAD, Comparison
from tests.bench.rivals_sink import clickhouse_alone, decode_and_insert
from tests.clickhouse_service import running_clickhouse
from tests.services import PARTITIONS, kafka_node, running_kafka, wait_until
from tests.sink import Warehouse, envelope, feed, running_sink

RUN_RECORDS = 2_000
REPETITIONS = 3
ROWS = 1_200_000
LONGEST_SECONDS = 120
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class SinkComparisons:
    """The sink against ClickHouse inserting the same Avro file itself, and against decoding in Python first."""

    clickhouse_alone: Comparison
    decode_and_insert: Comparison


async def measure(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, rows: int = ROWS, repetitions: int = REPETITIONS
) -> SinkComparisons:
    """Write the records once, then insert them `repetitions` times in each way."""
    kafka = kafka.model_copy(update={"kafka_topic_prefix": f"b{uuid.uuid4().hex[:12]}."})
    await create_topics(kafka, PARTITIONS)
    async with feed(kafka) as records:
        team = records.team
        for start in range(0, rows // PARTITIONS, RUN_RECORDS):
            await records.all(range(start, start + RUN_RECORDS))
    values = [envelope(partition, n, team) for partition in range(PARTITIONS) for n in range(rows // PARTITIONS)]
    ours, alone, decoded = [], [], []
    for _ in range(repetitions):
        ours.append(rows / await _sink(kafka, clickhouse, rows))
        alone.append(rows / await clickhouse_alone(await _fresh(clickhouse), values))
        decoded.append(rows / await decode_and_insert(kafka, await _fresh(clickhouse), rows))
    return SinkComparisons(
        _comparison("ClickHouse alone, one Avro file", ours, alone, 0.7),
        _comparison("decode in Python and insert", ours, decoded, 4),
    )


def _comparison(alternative: str, ours: Sequence[float], theirs: Sequence[float], target: float) -> Comparison:
    return Comparison("sink", alternative, ours, theirs, target)


async def _sink(kafka: KafkaSettings, clickhouse: ClickHouseSettings, rows: int) -> float:
    """Seconds from the opening of the first partition until ClickHouse has acknowledged every row."""
    clickhouse = await _fresh(clickhouse)
    warehouse = Warehouse(clickhouse)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "sink.out"
        with running_sink(kafka, clickhouse, log, wait=False, sink_max_batch_age_seconds=1) as sink:
            wait_until(lambda: "partition_opened" in log.read_text("utf-8"), "partitions", LONGEST_SECONDS)
            started = time.perf_counter()
            # Counting rows in ClickHouse over and over would cost it more than it costs its rivals.
            stored = partial(sink.metric, "eventsapi_rows_inserted_total")
            wait_until(lambda: stored() >= rows, "all rows", LONGEST_SECONDS, POLL_SECONDS)
            seconds = time.perf_counter() - started
            assert warehouse.rows() == rows
            sink.terminate()
    await _rewind(kafka)
    return seconds


async def _rewind(kafka: KafkaSettings) -> None:
    """Set the group that the sink has left back to the first record."""
    async with AIOKafkaConsumer(
        **kafka.kafka_options(), group_id=kafka.topics.sink_group, enable_auto_commit=False
    ) as consumer:
        topics = [TopicPartition(kafka.topics.normalized, partition) for partition in range(PARTITIONS)]
        consumer.assign(topics)
        await consumer.commit(dict.fromkeys(topics, 0))


async def _fresh(clickhouse: ClickHouseSettings) -> ClickHouseSettings:
    """The same server with an empty table."""
    fresh = clickhouse.model_copy(update={"clickhouse_database": f"b{uuid.uuid4().hex[:12]}"})
    url = clickhouse.clickhouse_url.get_secret_value()
    async with await clickhouse_connect.get_async_client(dsn=url) as client:
        for statement in warehouse_statements(fresh.clickhouse_database):
            await client.command(statement)
    return fresh


async def main() -> None:
    """Measure on services of its own."""
    with tempfile.TemporaryDirectory() as folder:
        node = kafka_node(Path(folder) / "kafka")
        with running_kafka(node), running_clickhouse(Path(folder) / "clickhouse") as endpoint:
            kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
            clickhouse = ClickHouseSettings(clickhouse_url=SecretStr(endpoint.url(Role.SINK)))
            compared = await measure(kafka, clickhouse)
    print(COMPARISON_HEAD, compared.clickhouse_alone.row(), compared.decode_and_insert.row(), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
