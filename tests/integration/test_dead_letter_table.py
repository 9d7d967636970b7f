"""Dead letters as rows, on a real Kafka and ClickHouse."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from deploy.local.clickhouse.users import Role
from deploy.topics import create_topics
from schemas.errors import ErrorCode, InvalidEvent
from schemas.settings import ClickHouseSettings, KafkaSettings
from schemas.topics import MAX_RECORD_BYTES, Headers
from sink.dead_letter_table import MAX_BATCH_BYTES
from sink.tables import Tables
from sink.writer import Writer
from stream.dead_letter import dead_letter
from stream.records import RawHeaders
from tests.clickhouse_service import running_clickhouse
from tests.integration import dying_sink
from tests.integration.stream_harness import broker, stream
from tests.services import PARTITIONS, eventually, free_port, kafka_node, running_kafka
from tests.sink import Warehouse, running_sink
from tests.unit.test_normalize import Raw

AT = 2
"""The partition in which the tests' records lie."""
BAD = b'{"version":1,"type":"event","event":7}'
STORED = "eventsapi_dead_letter_rows_total"


def raw_headers(event_id: str, team: str) -> Headers:
    """What the ingress writes beside an event."""
    return [
        ("event_id", event_id.encode()),
        ("team", team.encode()),
        ("token_id", b"tok_1"),
        ("format", b"event.v1"),
        ("received_at", b"2026-11-23T10:00:00.123456Z"),
    ]


@dataclass(frozen=True)
class Letters:
    """The topic of dead letters, and what of it is in ClickHouse."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    producer: AIOKafkaProducer
    team: str

    async def write(
        self, value: bytes | None, headers: RawHeaders, partition: int = AT, key: bytes | None = b"key"
    ) -> None:
        """Write a record of any shape."""
        await self.producer.send_and_wait(self.kafka.topics.dead_letter, value, key, partition, headers=headers)

    async def refused(self, raw_offset: int, partition: int = AT, code: ErrorCode = ErrorCode.WRONG_TYPE) -> None:
        """Write one as the stream does."""
        raw = Raw(b"key", BAD, raw_headers(str(uuid.UUID(int=raw_offset)), self.team), partition, raw_offset)
        letter = dead_letter(raw, InvalidEvent(code, "It has the wrong type.", "event"))
        await self.write(letter.value, letter.headers, partition, letter.key)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The answer to a query; {letters} is the table of all teams, {team} the team's database."""
        table = f"{self.clickhouse.clickhouse_database}.dead_letters"
        sql = query.format(letters=table, team=self.team)
        answer = Warehouse(self.clickhouse).value(f"{sql} FORMAT JSONEachRow")
        return [json.loads(line) for line in answer.splitlines()]

    def count(self, table: str = "{letters}") -> int:
        """How many rows there are; 0 also where the table or view is not there yet."""
        exists = self.rows(f"EXISTS TABLE {table}")[0]["result"]
        return int(self.rows(f"SELECT count() AS n FROM {table}")[0]["n"]) if exists else 0

    async def stored(self, rows: int, table: str = "{letters}") -> None:
        """Wait until so many rows are there."""

        async def there() -> bool:
            return await asyncio.to_thread(self.count, table) >= rows

        await eventually(there, f"{rows} rows in {table}", 90)
        assert self.count(table) == rows

    async def committed(self) -> int:
        """How far the sink has come in the tests' partition."""
        admin = AIOKafkaAdminClient(**self.kafka.kafka_options())
        try:
            await admin.start()
            found = await admin.list_consumer_group_offsets(self.kafka.topics.dead_letter_group)
        finally:
            await admin.close()
        return sum(offset.offset for at, offset in found.items() if at.partition == AT)


@pytest.fixture
async def letters(kafka: KafkaSettings, clickhouse: ClickHouseSettings) -> AsyncIterator[Letters]:
    """Nothing lies in the topics, and no sink runs."""
    async with producer(kafka) as writing:
        yield Letters(kafka, clickhouse, writing, f"t{uuid.uuid4().hex[:12]}")


def producer(kafka: KafkaSettings) -> AIOKafkaProducer:
    """One that writes the largest records, too."""
    return AIOKafkaProducer(**kafka.kafka_options(), acks="all", max_request_size=2 * MAX_RECORD_BYTES)


async def without_merges(clickhouse: ClickHouseSettings) -> None:
    """The table, with its parts as they were inserted: a merge would take double rows away before they are counted."""
    async with Writer(clickhouse, timeout_seconds=30) as writer:
        await Tables(writer, clickhouse.clickhouse_database).ensure()
        table = f"{clickhouse.clickhouse_database}.dead_letters"
        await writer.execute(f"ALTER TABLE {table} MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1")


async def test_row_when_the_stream_refuses_an_event(letters: Letters, tmp_path: Path) -> None:
    """It is in the view of its team, which has no other rows, with all that is known of it; SIGTERM ends the sink."""
    event_id = str(uuid.uuid4())
    async with broker(letters.kafka) as records:
        await records.produce_raw(AT, b"acme/u", BAD, raw_headers(event_id, letters.team))
    with (
        stream(letters.kafka, tmp_path / "stream.out"),
        running_sink(letters.kafka, letters.clickhouse, tmp_path / "sink.out") as sink,
    ):
        await letters.stored(1, "{team}.dead_letters")
        assert sink.metric(STORED) == 1
        assert sink.terminate() == 0
    (row,) = letters.rows("SELECT * FROM {team}.dead_letters")
    assert row.pop("written_at") <= row.pop("inserted_at")
    assert row.pop("detail")
    assert row == {
        "event_id": event_id,
        "reason": "wrong_type",
        "field": "event",
        "format": "event.v1",
        "token_id": "tok_1",
        "received_at": "2026-11-23 10:00:00.123456",
        "key": "acme/u",
        "value": BAD.decode(),
        "value_bytes": len(BAD),
        "_raw_partition": AT,
        "_raw_offset": 0,
        "_partition": AT,
        "_offset": 0,
    }
    assert letters.rows("SELECT count() AS n FROM {team}.events") == [{"n": 0}]


async def test_rows_when_somebody_else_wrote_them(letters: Letters, tmp_path: Path) -> None:
    """Every byte is kept, and what is no team, number or time is absent; what cannot be read at all is passed over."""
    values = [None, b"", b"\x00\xff\xfe\t\n\\N'", b"\xff\x00" * (MAX_RECORD_BYTES // 2)]
    for value in values:
        await letters.write(value, [], key=value[:9] if value else b"key")
    foreign = [("reason", b"\xff\x00"), ("event_id", b"no uuid"), ("received_at", b"yesterday")]
    for team in (b"No Slug", letters.clickhouse.clickhouse_database.encode()):
        wrong = [("team", team), ("raw_partition", b"%d" % (1 << 32)), ("raw_offset", b"-1")]
        await letters.write(b"foreign", [*foreign, *wrong])
    async with broker(letters.kafka) as records:
        garble = (b"x1", b"\xff\xfe")
        await records.produce_raw(AT, b"key", b"", [("x1", b"")], garble, topic=letters.kafka.topics.dead_letter)
    await letters.refused(0)

    with running_sink(letters.kafka, letters.clickhouse, tmp_path / "sink.out"):
        await letters.stored(7)

    rows = letters.rows(
        "SELECT hex(value) AS hexed, isNull(value) = 1 AS absent, value_bytes, hex(key) AS key, "
        "_raw_partition, _raw_offset FROM {letters} WHERE reason = '' ORDER BY _offset"
    )
    assert [(row["hexed"], row["absent"]) for row in rows] == [
        (v if v is None else v.hex().upper(), v is None) for v in values
    ]
    assert [row["value_bytes"] for row in rows] == [None, 0, 8, MAX_RECORD_BYTES]
    assert rows[2]["key"] == values[2].hex().upper()  # type: ignore[union-attr] # it is no None
    assert {(row["_raw_partition"], row["_raw_offset"]) for row in rows} == {(None, None)}
    others = letters.rows(
        "SELECT team, event_id, received_at, _raw_partition, _raw_offset FROM {letters} WHERE reason = unhex('FF00')"
    )
    assert [list(row.values()) for row in others] == [["", "no uuid", None, None, None]] * 2


async def test_rows_when_dead_letters_are_repeated(letters: Letters, tmp_path: Path) -> None:
    """The stream's second one of a raw record is not seen; one with another reason is, and one that names no record."""
    await without_merges(letters.clickhouse)
    for _ in range(2):
        await letters.refused(7)
        await letters.write(BAD, [("team", letters.team.encode())])
    await letters.refused(7, code=ErrorCode.TOO_LARGE)

    with running_sink(letters.kafka, letters.clickhouse, tmp_path / "sink.out"):
        await letters.stored(5)

    seen = letters.rows("SELECT reason, _offset FROM {team}.dead_letters ORDER BY _offset")
    assert [list(row.values()) for row in seen] == [["wrong_type", 0], ["", 1], ["", 3], ["too_large", 4]]


async def test_rows_when_the_sink_dies_before_its_commit(letters: Letters, tmp_path: Path) -> None:
    """Killed between insert and commit: its successor stores them again, and each is seen once."""
    await without_merges(letters.clickhouse)
    for raw_offset in range(5):
        await letters.refused(raw_offset)
    with running_sink(
        letters.kafka, letters.clickhouse, tmp_path / "dying.out", wait=False, command=dying_sink.COMMAND
    ) as dying:
        assert await asyncio.to_thread(dying.running.wait, 60) < 0
    assert (letters.count(), await letters.committed()) == (5, 0)
    await letters.refused(5)

    # The partitions are its predecessor's until that one's session ends.
    with running_sink(letters.kafka, letters.clickhouse, tmp_path / "sink.out", wait=False):
        await letters.stored(11)

    seen = letters.rows("SELECT _raw_offset FROM {team}.dead_letters ORDER BY _raw_offset")
    assert [row["_raw_offset"] for row in seen] == list(range(6))
    assert await letters.committed() == 6


async def test_rows_when_there_is_more_than_one_insert_takes(letters: Letters, tmp_path: Path) -> None:
    """A backlog is stored insert by insert, without a pause in which Kafka seems to be away."""
    records = 2 * MAX_BATCH_BYTES // MAX_RECORD_BYTES + 1
    for number in range(records):
        await letters.write(b"%d" % number + b" " * (MAX_RECORD_BYTES - 100), [("team", letters.team.encode())])

    with running_sink(letters.kafka, letters.clickhouse, tmp_path / "sink.out"):
        await letters.stored(records)

    assert "dead_letters_wait" not in (tmp_path / "sink.out").read_text("utf-8")


async def test_rows_when_sinks_share_the_partitions(letters: Letters, tmp_path: Path) -> None:
    """Both of two sinks store some, and each dead letter is seen once."""
    with (
        running_sink(letters.kafka, letters.clickhouse, tmp_path / "first.out") as first,
        running_sink(letters.kafka, letters.clickhouse, tmp_path / "second.out", wait=False) as second,
    ):
        written = 0
        while not (second.ready() and second.metric(STORED) and first.metric(STORED)):
            for partition in range(PARTITIONS):
                await letters.refused(written, partition)
            written += 1
        await letters.stored(written * PARTITIONS, "{team}.dead_letters")


async def test_rows_when_kafka_and_clickhouse_come_back(tmp_path: Path) -> None:
    """Neither one being away ends the sink, and what was written meanwhile is stored once, without a second start."""
    node, port = kafka_node(tmp_path / "kafka"), free_port()
    kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
    async with AsyncExitStack() as stack:
        with running_kafka(node):
            await create_topics(kafka, PARTITIONS)
            with running_clickhouse(tmp_path / "clickhouse", port) as endpoint:
                clickhouse = ClickHouseSettings(clickhouse_url=SecretStr(endpoint.url(Role.SINK)))
                sink = stack.enter_context(running_sink(kafka, clickhouse, tmp_path / "sink.out"))
                endpoint.running.kill()
            async with producer(kafka) as writing:
                letters = Letters(kafka, clickhouse, writing, "acme")
                await letters.refused(0)
                await eventually(lambda: retried(tmp_path / "sink.out"), "an insert that failed")
                with running_clickhouse(tmp_path / "clickhouse", port):
                    await letters.stored(1)
        with running_kafka(node), running_clickhouse(tmp_path / "clickhouse", port):
            async with producer(kafka) as writing:
                letters = Letters(kafka, clickhouse, writing, "acme")
                await letters.refused(1)
                await letters.stored(2)
                assert sink.running.poll() is None


async def retried(log: Path) -> bool:
    """Whether the sink has said that ClickHouse is away."""
    return "clickhouse_away" in await asyncio.to_thread(log.read_text, "utf-8")
