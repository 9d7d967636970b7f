"""The sink as a process, for tests: what it reads, itself, and what it wrote."""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from schemas.codec import ENVELOPE_CONTAINER, ENVELOPE_SCHEMA_ID, SCHEMA_HEADER_BYTES, encode_envelope, wire_header
from schemas.settings import ClickHouseSettings, KafkaSettings
from schemas.topics import Headers
from sink.offsets import Note
from sink.tables import Tables
from sink.writer import Writer
from tests.services import PARTITIONS, free_port, process, wait_until

SINK = (sys.executable, "-m", "sink")
MONTH_MICROSECONDS = 31 * 86_400 * 1_000_000
OCCURRED_AT = 1_700_000_000_000_000


def event_id(partition: int, raw_offset: int) -> str:
    """The id of the event at a raw offset."""
    return str(uuid.UUID(int=partition << 64 | raw_offset, version=4))


def envelope(partition: int, raw_offset: int, team: str, **fields: object) -> bytes:
    """A normalized event in wire format; events lie in four months."""
    return wire_header(ENVELOPE_SCHEMA_ID) + encode_envelope(
        {
            "event_id": event_id(partition, raw_offset),
            "team": team,
            "event": "Purchased an Item",
            "kind": "event",
            "user_id": f"user-{raw_offset % 1_000}",
            "occurred_at": OCCURRED_AT + raw_offset // 500 % 4 * MONTH_MICROSECONDS,
            "received_at": OCCURRED_AT,
            "properties_json": json.dumps({"revenue": "39.95", "shippingMethod": "2-day", "number": raw_offset}),
            "raw_partition": partition,
            "raw_offset": raw_offset,
        }
        | fields
    )


def headers(partition: int, raw_offset: int, team: str) -> Headers:
    """What the stream writes beside it."""
    return [
        ("event_id", event_id(partition, raw_offset).encode()),
        ("team", team.encode()),
        ("raw_offset", b"%d" % raw_offset),
    ]


@dataclass(frozen=True)
class Stored:
    """A record of the normalized topic, as Kafka gives it back."""

    offset: int
    value: bytes | None
    headers: Headers
    key: bytes | None = b"key"


class Feed:
    """Stands for the stream: writes normalized records, in runs."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, team: str) -> None:
        self._producer = producer
        self._topic = topic
        self.team = team

    async def run(self, partition: int, raw_offsets: Iterable[int]) -> None:
        """Write one run and wait until Kafka has it."""
        batch = self._producer.create_batch()
        for raw_offset in raw_offsets:
            record = {
                "key": None,
                "value": envelope(partition, raw_offset, self.team),
                "timestamp": None,
                "headers": headers(partition, raw_offset, self.team),
            }
            if batch.append(**record) is None:
                await (await self._producer.send_batch(batch, self._topic, partition=partition))
                batch = self._producer.create_batch()
                batch.append(**record)
        await (await self._producer.send_batch(batch, self._topic, partition=partition))

    async def all(self, raw_offsets: Iterable[int]) -> None:
        """The same run in every partition."""
        raw_offsets = list(raw_offsets)
        for partition in range(PARTITIONS):
            await self.run(partition, raw_offsets)

    async def one(self, partition: int, value: bytes | None, headers: Headers) -> None:
        """Write a single record of any shape."""
        await self._producer.send_and_wait(self._topic, value, b"key", partition, headers=headers)


@asynccontextmanager
async def feed(kafka: KafkaSettings) -> AsyncIterator[Feed]:
    """A feed for a team that no other test has."""
    team = f"t{uuid.uuid4().hex[:12]}"
    async with AIOKafkaProducer(
        **kafka.kafka_options(), acks="all", enable_idempotence=True, compression_type="lz4", max_batch_size=1 << 18
    ) as producer:
        yield Feed(producer, kafka.topics.normalized, team)


async def store(writer: Writer, values: Sequence[bytes], token: str, database: str) -> None:
    """Insert envelopes in wire format, as the sink does."""
    bodies = [value[SCHEMA_HEADER_BYTES:] for value in values]
    await writer.insert(f"{database}.events", ENVELOPE_CONTAINER, bodies, token)


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink."""

    port: int
    running: subprocess.Popen[bytes]
    log: Path

    def ready(self) -> bool:
        """Whether it says so."""
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 where it is not there yet."""
        text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text
        lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.split()[-1]) for line in lines)

    def kill(self) -> None:
        """As a crash ends it."""
        self.running.kill()
        self.running.wait()

    def terminate(self, seconds: float = 15) -> int:
        """Ask it to end, and return its exit code."""
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(seconds)


@contextmanager
def running_sink(
    kafka: KafkaSettings,
    clickhouse: ClickHouseSettings,
    log: Path,
    *,
    wait: bool = True,
    command: Sequence[str] = SINK,
    **settings: object,
) -> Iterator[Sink]:
    """Start the sink, or a test's own entry into it, with more settings by name, and wait until it is ready."""
    port = free_port()
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.kafka_bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.kafka_topic_prefix,
        "CLICKHOUSE_URL": clickhouse.clickhouse_url.get_secret_value(),
        "CLICKHOUSE_DATABASE": clickhouse.clickhouse_database,
        "SINK_METRICS_PORT": str(port),
        "SINK_SESSION_TIMEOUT_SECONDS": "6",
        "SINK_MAX_BATCH_AGE_SECONDS": "0.2",
        **{name.upper(): str(value) for name, value in settings.items()},
    }
    with process(list(command), log, env) as running:
        sink = Sink(port, running, log)
        if wait:
            wait_until(lambda: sink.ready() or running.poll() is not None, "the sink is ready")
            if running.poll() is not None:
                raise RuntimeError(log.read_text("utf-8"))
        yield sink


@dataclass(frozen=True, slots=True)
class Warehouse:
    """What lies in ClickHouse, physically: not through FINAL, which would hide a double row."""

    clickhouse: ClickHouseSettings

    def value(self, query: str) -> str:
        """The answer to a query; {events} stands for the table."""
        table = f"{self.clickhouse.clickhouse_database}.events"
        url = self.clickhouse.clickhouse_url.get_secret_value()
        response = requests.post(url, data=query.format(events=table), timeout=30)
        response.raise_for_status()
        return response.text.strip()

    def rows(self) -> int:
        """How many rows there are; 0 also where the table is not there yet."""
        try:
            return int(self.value("SELECT count() FROM {events}"))
        except requests.RequestException:
            return 0

    def per_partition(self) -> list[tuple[int, int, int, int]]:
        """For each partition its number, its rows, how many raw offsets they have, and the highest."""
        answer = self.value(
            "SELECT _raw_partition, count(), uniqExact(_raw_offset), max(_raw_offset) FROM {events} "
            "GROUP BY 1 ORDER BY 1 FORMAT TSV"
        )
        rows = [[int(cell) for cell in line.split("\t")] for line in answer.splitlines()]
        return [(partition, count, offsets, highest) for partition, count, offsets, highest in rows]


async def without_merges(clickhouse: ClickHouseSettings) -> Warehouse:
    """A warehouse whose parts stay as inserted: a merge would take double rows away before they are counted."""
    async with Writer(clickhouse, timeout_seconds=30) as writer:
        await Tables(writer, clickhouse.clickhouse_database).ensure()
        table = f"{clickhouse.clickhouse_database}.events"
        await writer.execute(f"ALTER TABLE {table} MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1")
    return Warehouse(clickhouse)


def exactly(raw_offsets: int) -> list[tuple[int, int, int, int]]:
    """What `per_partition` says when each of these raw offsets has one row in each partition."""
    return [(partition, raw_offsets, raw_offsets, raw_offsets - 1) for partition in range(PARTITIONS)]


async def dead_letters(kafka: KafkaSettings) -> list[tuple[bytes, dict[str, str]]]:
    """All dead letters: value and headers."""
    found: list[tuple[bytes, dict[str, str]]] = []
    async with AIOKafkaConsumer(**kafka.kafka_options()) as consumer:
        topics = [TopicPartition(kafka.topics.dead_letter, partition) for partition in range(PARTITIONS)]
        consumer.assign(topics)
        await consumer.seek_to_beginning(*topics)
        ends = await consumer.end_offsets(topics)
        while sum(ends.values()) > len(found):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [
                    (record.value, {name: value.decode() for name, value in record.headers}) for record in records
                ]
    return found


async def leave_open(kafka: KafkaSettings, note: Note, partitions: Iterable[int] = range(PARTITIONS)) -> None:
    """Set a group without members back to the start, as a sink that dies there leaves it, or an operator."""
    topics = [TopicPartition(kafka.topics.normalized, partition) for partition in partitions]
    async with AIOKafkaConsumer(
        **kafka.kafka_options(), group_id=kafka.topics.sink_group, enable_auto_commit=False
    ) as consumer:
        consumer.assign(topics)
        await consumer.commit(dict.fromkeys(topics, OffsetAndMetadata(0, note.encode())))
