"""`events audit` and the audit beside a running sink, on a history that the real stream and sink have made."""

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.settings import ClickHouseSettings, KafkaSettings
from schemas.topics import RAW_OFFSET, Headers
from tests.integration.stream_harness import Broker, broker, stream
from tests.services import eventually
from tests.sink import Sink, Warehouse, running_sink, without_merges
from tests.stack import EVENTS

GOOD, BAD = b'{"version":1,"type":"event","event":"e"}', b"{"
RETRIED = 3
LOST, DOUBLED, BOTH = 4, 6, 8


@dataclass(frozen=True)
class Pipeline:
    """A stream and a sink that have caught up.

    What lies in partition 0: rows, a dead letter in the middle (10), a sender's retry of offset 3 (20), merged.  In
    partition 1: rows, and dead letters at the end.  In partition 2: dead letters only.  In partition 3: nothing.
    """

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    broker: Broker
    sink: Sink
    warehouse: Warehouse
    folder: Path

    async def audit(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Exit code and result of the command."""
        done = await asyncio.to_thread(self._run, "--json", *options)
        return done.returncode, json.loads(done.stdout)

    async def text(self, *options: str) -> str:
        """What a person reads."""
        return (await asyncio.to_thread(self._run, *options)).stdout

    def _run(self, *options: str) -> subprocess.CompletedProcess[str]:
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.kafka_bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": self.kafka.kafka_topic_prefix,
            "CLICKHOUSE_URL": self.clickhouse.clickhouse_url.get_secret_value(),
            "CLICKHOUSE_DATABASE": self.clickhouse.clickhouse_database,
        }
        command = [str(EVENTS), "audit", "--data-dir", str(self.folder), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=os.environ | env)

    async def plant(self) -> None:
        """One loss, one double, and one row that is a dead letter too; in partition 0."""
        where = f"_raw_partition = 0 AND _raw_offset = {LOST}"
        self.warehouse.value(f"ALTER TABLE {{events}} DELETE WHERE {where} SETTINGS mutations_sync = 1")
        self._copy("*", DOUBLED)
        async with AIOKafkaProducer(**self.kafka.kafka_options()) as producer:
            planted: Headers = [(RAW_OFFSET, b"%d" % BOTH), ("reason", b"planted")]
            await producer.send_and_wait(self.kafka.topics.dead_letter, b"", None, 0, headers=planted)

    def mend(self) -> None:
        """Put the row that was lost back."""
        columns = f"* REPLACE ({LOST} AS _raw_offset, '{event_id(0, LOST)}' AS event_id)"
        self._copy(columns, 0)

    def _copy(self, columns: str, offset: int) -> None:
        rows = f"SELECT * FROM {{events}} WHERE _raw_partition = 0 AND _raw_offset = {offset}"
        self.warehouse.value(f"INSERT INTO {{events}} SELECT {columns} FROM ({rows})")

    async def caught_up(self) -> None:
        """Wait until the stream, then the sink, has all there is."""
        await self.broker.caught_up()
        ends = await self.broker.ends(self.kafka.topics.normalized)

        async def done() -> bool:
            offsets = await self.broker.admin.list_consumer_group_offsets(self.kafka.topics.sink_group)
            return sum(int(found.offset) for found in offsets.values()) == sum(ends)

        await eventually(done, "the sink commits the end")


def raw_headers(partition: int, number: int) -> Headers:
    """What the ingress writes beside an event."""
    return [
        ("event_id", str(event_id(partition, number)).encode()),
        ("team", b"demo"),
        ("format", b"event.v1"),
        ("received_at", b"2026-11-23T10:00:00.123456Z"),
    ]


def event_id(partition: int, number: int) -> uuid.UUID:
    """The id of an event."""
    return uuid.UUID(int=number << 8 | partition, version=4)


async def write_history(records: Broker) -> None:
    """As `Pipeline` tells it."""
    partitions = {
        0: [(GOOD, number) for number in range(20)] + [(GOOD, RETRIED)] + [(GOOD, number) for number in range(21, 30)],
        1: [(GOOD if number < 20 else BAD, number) for number in range(25)],
        2: [(BAD, number) for number in range(15)],
    }
    partitions[0][10] = (BAD, 10)
    for partition, events in partitions.items():
        for value, number in events:
            await records.produce_raw(partition, b"demo/u", value, raw_headers(partition, number))


@pytest.fixture
async def pipeline(kafka: KafkaSettings, clickhouse: ClickHouseSettings, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline with its history; merges are done, and no more happen."""
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(broker(kafka))
        await write_history(records)
        stack.enter_context(stream(kafka, tmp_path / "stream.out"))
        sink = stack.enter_context(
            running_sink(kafka, clickhouse, tmp_path / "sink.out", sink_audit_interval_seconds=0.2)
        )
        pipeline = Pipeline(kafka, clickhouse, records, sink, Warehouse(clickhouse), tmp_path)
        await pipeline.caught_up()
        pipeline.warehouse.value("OPTIMIZE TABLE {events} FINAL")
        await without_merges(clickhouse)
        yield pipeline


async def test_audit_when_all_is_well(pipeline: Pipeline) -> None:
    """Rows, dead letters and a merged retry are no violation; what is not settled is not judged."""
    code, found = await pipeline.audit()

    assert code == 0
    assert found["clean"]
    columns = ("start", "stop", "rows", "dead_letters", "merged", "missing", "doubled", "both")
    assert [tuple(partition[name] for name in columns) for partition in found["partitions"]] == [
        (0, 30, 28, 1, 1, 0, 0, 0),
        (0, 25, 20, 5, 0, 0, 0, 0),
        (0, 15, 0, 15, 0, 0, 0, 0),
        (0, 0, 0, 0, 0, 0, 0, 0),
    ]
    assert pipeline.sink.terminate() == 0
    await pipeline.broker.produce_raw(1, b"demo/u", GOOD, raw_headers(1, 25))
    await pipeline.broker.produce_raw(1, b"demo/u", BAD, raw_headers(1, 26))
    await pipeline.broker.caught_up()
    code, found = await pipeline.audit("--partition", "1")
    assert (code, [partition["stop"] for partition in found["partitions"]]) == (0, [20])
    code, found = await pipeline.audit("--from", "2100-01-01")
    assert {partition["stop"] - partition["start"] for partition in found["partitions"]} == {0}


async def test_audit_when_losses_and_doubles_are_planted(pipeline: Pipeline) -> None:
    """The command names exactly these and exits with 1; the sink's own audit shows them until they are mended."""
    count = pipeline.sink.metric
    await eventually(lambda: metric(pipeline, "eventsapi_audited_offset", 70), "all is audited")
    assert [count(f"eventsapi_audit_{name}_offsets") for name in ("missing", "doubled", "both")] == [0, 0, 0]
    await pipeline.plant()

    code, found = await pipeline.audit()

    assert code == 1
    assert not found["clean"]
    named = {
        (partition["partition"], violation["kind"], violation["offset"], violation["event_id"])
        for partition in found["partitions"]
        for violation in partition["violations"]
    }
    planted = {"missing": LOST, "doubled": DOUBLED, "both": BOTH}
    assert named == {(0, kind, offset, str(event_id(0, offset))) for kind, offset in planted.items()}
    text = await pipeline.text("--since", "1h")
    assert all(f"partition 0  {kind}  offset {offset}  received 2" in text for kind, offset in planted.items())
    for kind in planted:
        await eventually(lambda: metric(pipeline, f"eventsapi_audit_{kind}_offsets", 1), f"{kind} shows")  # noqa: B023 - awaited here
    pipeline.mend()
    await eventually(lambda: metric(pipeline, "eventsapi_audit_missing_offsets", 0), "what was mended is gone")


async def metric(pipeline: Pipeline, name: str, value: float) -> bool:
    """Whether the sink's metric has a value."""
    return await asyncio.to_thread(pipeline.sink.metric, name) == value
