"""`events dead-letters` on a real stream, sink, Kafka and ClickHouse."""

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.errors import ErrorCode, InvalidEvent
from schemas.settings import ClickHouseSettings, KafkaSettings
from schemas.topics import MAX_RECORD_BYTES, REPLAYED_FROM, Headers
from stream.dead_letter import dead_letter
from tests.docs import ROOT, blocks
from tests.integration.stream_harness import Broker, broker, stream
from tests.services import PARTITIONS, eventually
from tests.sink import Warehouse, running_sink
from tests.stack import EVENTS
from tests.unit.test_normalize import Raw

GOOD, BAD = b'{"version":1,"type":"event","event":"e"}', b'{"version":1,"type":"event","event":7}'
AT = 2
"""The partition in which the tests' records lie."""


def headers_of(event_id: str, team: str) -> Headers:
    """What the ingress writes beside an event."""
    return [
        ("event_id", event_id.encode()),
        ("team", team.encode()),
        ("token_id", b"tok_1"),
        ("format", b"event.v1"),
        ("received_at", b"2026-11-23T10:00:00.123456Z"),
    ]


@dataclass(frozen=True)
class Pipeline:
    """Kafka and ClickHouse with the topics of one pipeline, and the commands on it."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    broker: Broker
    producer: AIOKafkaProducer
    folder: Path
    team: str

    @property
    def warehouse(self) -> Warehouse:
        """What lies in ClickHouse."""
        return Warehouse(self.clickhouse)

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `events dead-letters`."""
        return await self.execute(str(EVENTS), "dead-letters", *arguments)

    async def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program from the top of the checkout."""
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.kafka_bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": self.kafka.kafka_topic_prefix,
            "CLICKHOUSE_URL": self.clickhouse.clickhouse_url.get_secret_value(),
            "CLICKHOUSE_DATABASE": self.clickhouse.clickhouse_database,
            "EVENTS_DATA_DIR": str(self.folder),
        }
        return await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=os.environ | env,
        )

    async def json(self, *arguments: str) -> tuple[int, Any]:
        """Exit code and result of a command."""
        done = await self.run(*arguments, "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    async def refused_once(self, value: bytes | None, event_id: str, raw_offset: int = 0) -> None:
        """A dead letter as a stream wrote it that did not know yet what to do with the event."""
        raw = Raw(b"demo/u", value, headers_of(event_id, self.team), AT, raw_offset)
        record = dead_letter(raw, InvalidEvent(ErrorCode.UNKNOWN_FORMAT, "The format is not known.", "format"))
        await self.producer.send_and_wait(
            self.kafka.topics.dead_letter, record.value, record.key, AT, headers=record.headers
        )

    async def raw(self) -> list[tuple[bytes, bytes, dict[str, bytes]]]:
        """Key, value and headers of all raw records."""
        found: list[tuple[bytes, bytes, dict[str, bytes]]] = []
        at = TopicPartition(self.kafka.topics.raw, AT)
        async with AIOKafkaConsumer(**self.kafka.kafka_options()) as consumer:
            consumer.assign([at])
            await consumer.seek_to_beginning(at)
            end = (await consumer.end_offsets([at]))[at]
            while len(found) < end:
                records = (await consumer.getmany(timeout_ms=200)).get(at, [])
                found += [(record.key, record.value, dict(record.headers)) for record in records]
        return found

    async def stored(self, rows: int) -> None:
        """Wait until so many rows are in the warehouse's table, doubles included."""

        async def there() -> bool:
            return await asyncio.to_thread(self.warehouse.rows) == rows

        await eventually(there, f"{rows} rows")


@pytest.fixture
async def pipeline(kafka: KafkaSettings, clickhouse: ClickHouseSettings, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """Nothing lies in the topics, and no process runs but a sink, which has made its tables."""
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(broker(kafka))
        producer = await stack.enter_async_context(
            AIOKafkaProducer(**kafka.kafka_options(), max_request_size=2 * MAX_RECORD_BYTES)
        )
        stack.enter_context(running_sink(kafka, clickhouse, tmp_path / "sink.out"))
        yield Pipeline(kafka, clickhouse, records, producer, tmp_path, f"t{uuid.uuid4().hex[:12]}")


async def test_replay_when_the_cause_is_gone(pipeline: Pipeline) -> None:
    """The event arrives once, with its id, bytes, key and headers; a second replay sends nothing."""
    event_id = str(uuid.uuid4())
    await pipeline.refused_once(GOOD, event_id)
    # The same raw record's dead letter once more, as a crash of the stream leaves it.
    await pipeline.refused_once(GOOD, event_id)
    with stream(pipeline.kafka, pipeline.folder / "stream.out"):
        code, first = await pipeline.json("replay", "--yes")
        await pipeline.stored(1)
        _, second = await pipeline.json("replay", "--yes")

    assert (code, first["sent"], first["refused_again"], first["settled"]) == (0, 1, 0, True)
    assert first["skipped"] == {"stored": 0, "replayed": 1, "not_replayable": 0}
    assert (second["sent"], second["skipped"]["stored"]) == (0, 2)
    expected = dict(headers_of(event_id, pipeline.team)) | {REPLAYED_FROM: f"{AT}/0".encode()}
    assert await pipeline.raw() == [(b"demo/u", GOOD, expected)]
    assert pipeline.warehouse.value(f"SELECT event_id FROM {pipeline.team}.events") == event_id
    await pipeline.refused_once(GOOD, str(uuid.uuid4()), raw_offset=9)
    _, listed = await pipeline.json("list")
    assert [(letter["place"], letter["stored"]) for letter in listed] == [
        (f"{AT}/0", True),
        (f"{AT}/1", True),
        (f"{AT}/2", False),
    ]


async def test_replay_when_an_earlier_one_died(pipeline: Pipeline) -> None:
    """What was sent is found in the raw topic, though it has no row yet; the rest is sent."""
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    await pipeline.refused_once(GOOD, first)
    await pipeline.refused_once(GOOD, second, raw_offset=1)
    # The raw records that were refused, written by somebody whose header names are no UTF-8: nothing can read them.
    for _ in range(2):
        await pipeline.broker.produce_raw(AT, b"demo/u", GOOD, [("x1", b"")], garble=(b"x1", b"\xff\xfe"))
    code, died = await pipeline.json("replay", "--yes", "--limit", "1", "--wait-seconds", "0")

    _, again = await pipeline.json("replay", "--yes", "--wait-seconds", "0")

    assert (code, died["sent"], died["settled"]) == (6, 1, False)
    assert (again["sent"], again["skipped"]["replayed"]) == (1, 1)
    with stream(pipeline.kafka, pipeline.folder / "stream.out"):
        await pipeline.stored(2)
    ids = pipeline.warehouse.value(f"SELECT event_id FROM {pipeline.team}.events ORDER BY _raw_offset").split()
    assert ids == [first, second]


async def test_replay_when_the_cause_is_still_there(pipeline: Pipeline) -> None:
    """It says how many were refused again, and why is listed; only the new dead letter may be replayed then."""
    event_id = str(uuid.uuid4())
    await pipeline.broker.produce_raw(AT, b"demo/u", BAD, headers_of(event_id, pipeline.team))
    with stream(pipeline.kafka, pipeline.folder / "stream.out"):
        await pipeline.broker.caught_up()
        code, first = await pipeline.json("replay", "--yes", "--reason", "wrong_type")
        _, planned = await pipeline.json("replay", "--dry-run")

    assert (code, first["sent"], first["refused_again"]) == (1, 1, 1)
    assert (planned["to_send"], planned["skipped"]["replayed"], planned["sent"]) == (1, 1, 0)
    assert len(await pipeline.raw()) == 2
    _, listed = await pipeline.json("list", "--event-id", event_id)
    assert [(letter["reason"], letter["replayed_from"]) for letter in listed] == [
        ("wrong_type", ""),
        ("wrong_type", f"{AT}/0"),
    ]


async def test_replay_when_it_cannot_or_may_not(pipeline: Pipeline) -> None:
    """A dry run sends nothing, nor does one that nobody can confirm; what holds no value is skipped in words."""
    await pipeline.refused_once(b"x" * MAX_RECORD_BYTES, str(uuid.uuid4()))
    await pipeline.refused_once(GOOD, str(uuid.uuid4()), raw_offset=1)

    planned = await pipeline.run("replay", "--dry-run")
    unasked = await pipeline.run("replay")

    assert planned.returncode == 0
    assert planned.stdout.startswith("1 to send\n1 skipped: the dead letter holds no value")
    assert (unasked.returncode, unasked.stdout) == (2, "")
    assert "--yes" in unasked.stderr
    assert await pipeline.raw() == []


async def test_list_and_show_when_values_are_no_text(pipeline: Pipeline) -> None:
    """Filters choose, the newest are kept, and every byte is shown; without ClickHouse as well."""
    other = replace(pipeline, team="other")
    ids = [str(uuid.uuid4()) for _ in range(3)]
    await pipeline.refused_once(b"\xff\x1b[2J", ids[0])
    await other.refused_once(GOOD, ids[1], raw_offset=1)
    await other.refused_once(GOOD, ids[2], raw_offset=2)

    _, shown = await pipeline.json("show", f"{AT}/0")
    text = await pipeline.run("show", f"{AT}/0")
    _, of_team = await pipeline.json("list", "--team", "other", "--since", "1h")
    newest = await pipeline.run("list", "--limit", "1")
    _, old = await pipeline.json("list", "--until", "1h")
    alone = await pipeline.execute("env", "CLICKHOUSE_URL=http://127.0.0.1:1", str(EVENTS), "dead-letters", "list")
    absent = [(await pipeline.run("show", place)).returncode for place in (f"{AT}/3", f"{PARTITIONS}/0", "2")]

    assert (shown["event_id"], shown["value"]) == (ids[0], {"base64": "/xtbMko="})
    assert "\x1b" not in text.stdout
    assert [letter["event_id"] for letter in of_team] == ids[1:]
    assert ids[2] in newest.stdout
    assert "newest 1 of 3" in newest.stderr
    assert (old, absent) == ([], [3, 3, 2])
    assert alone.returncode == 0
    assert "ClickHouse does not tell" in alone.stderr
    assert [line.split()[-1] for line in alone.stdout.splitlines()[1::2]] == ["?", "?", "?"]


async def test_page_when_its_examples_are_run(pipeline: Pipeline) -> None:
    """The commands of docs/dead-letters.md list, show, plan and replay, one after the other; its queries find it."""
    page = blocks("docs/dead-letters.md")
    event_id = str(uuid.uuid4())
    await pipeline.refused_once(GOOD, event_id)

    with stream(pipeline.kafka, pipeline.folder / "stream.out"):
        done = [await pipeline.execute("sh", "-euc", block.text) for block in page if block.language == "sh"]
        await pipeline.stored(1)
    queries = [block.text.replace("demo.", f"{pipeline.team}.") for block in page if block.language == "sql"]
    counted, latest = [await asyncio.to_thread(pipeline.warehouse.value, query) for query in queries]

    assert [ended.returncode for ended in done] == [0, 0, 0, 0], [ended.stderr for ended in done]
    assert [event_id in ended.stdout for ended in done] == [True, True, False, False]
    assert [ended.stdout for ended in done[2:]] == ["1 to send\n", "1 sent\n"]
    assert counted.split("\t")[1:] == ["unknown_format", "format", "1", str(len(GOOD))]
    assert latest.split("\t")[1] == event_id


@pytest.mark.parametrize("command", ["list", "show", "replay"])
async def test_help_when_asked(command: str) -> None:
    """It begins with an example and lists the exit codes."""
    done = await asyncio.to_thread(
        subprocess.run, [str(EVENTS), "dead-letters", command, "--help"], capture_output=True, text=True, check=True
    )

    assert f"Example: events dead-letters {command}" in done.stdout
    assert "Exit codes" in done.stdout
