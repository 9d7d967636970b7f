"""docs/raw-topic.md: what it promises of the topics, and its consumers as they stand, on the pipeline's own records."""

import os
import re
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import ConsumerRecord

from deploy.topics import create_topics
from schemas.codec import decode_envelope
from schemas.settings import KafkaSettings
from schemas.topics import partition_for
from tests import docs, kafka_tools
from tests.ingress import TEAM, Ingress, make_accounts, running_ingress
from tests.integration.stream_harness import stream
from tests.services import PARTITIONS, eventually, process, wait_until
from tests.stack import Stack

PAGE = "docs/raw-topic.md"
# Those of its section on access are in test_kafka_access.py.
ACCESS = ("authorizer", "umask 077", "acme-reader", "acme-own", "events-ingress", "--topic events.raw. ")
CONSUMERS = ("AIOKafkaConsumer", "sqlite3", "kafka-console-consumer.sh", "fastavro")
LOG_APPEND_TIME = 1
WEEK_MILLISECONDS = 7 * 86_400_000
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EVENT = b'{"version":1, "type":"event","event":"x","userId":"user-1","properties":{"revenue":39.950},"more":[1 ]}'
TRACK = b'{"type":"track","event":"y","userId":"user-1","messageId":"m","sentAt":"2026-11-24T10:00:00.123Z"}'


def headers_promised(topic: str) -> dict[str, str]:
    """The page's table of one topic's headers: each name, and where it is."""
    text = (docs.ROOT / PAGE).read_text("utf-8")
    (section,) = re.findall(rf"^## `{re.escape(topic)}`\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| (`.*?) \| .* \| (.*) \|$", section, re.MULTILINE)
    return {name: where for names, where in rows for name in re.findall(r"`(\w+)`", names)}


def track_call(ingress: Ingress, token: str) -> requests.Response:
    """Post an event as a client of the Segment family does."""
    return requests.post(f"{ingress.base_url}/v1/track", TRACK, auth=(token, ""), timeout=30)


async def records(kafka: KafkaSettings, topic: str, count: int) -> list[ConsumerRecord]:
    """The first records of a topic, as soon as there are so many."""
    found: list[ConsumerRecord] = []
    async with AIOKafkaConsumer(topic, **kafka.kafka_options(), auto_offset_reset="earliest") as consumer:

        async def enough() -> bool:
            for fetched in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(fetched)
            return len(found) >= count

        await eventually(enough, f"{count} records in {topic}", 60)
    return found


async def test_records_when_the_pipeline_writes_them(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Key, partition, value, timestamp and every header of all three topics are what the page says."""
    accounts_url, token = await make_accounts(tmp_path)
    with running_ingress(kafka, accounts_url, tmp_path) as ingress, stream(kafka, tmp_path / "stream.log"):
        assert ingress.post(token, EVENT, traceparent=TRACEPARENT).status_code == 200
        assert track_call(ingress, token).status_code == 200
        raw = {dict(record.headers)["format"].decode(): record for record in await records(kafka, kafka.topics.raw, 2)}
        event, track = raw["event.v1"], raw["segment.v1"]
        async with AIOKafkaProducer(**kafka.kafka_options(), acks="all") as producer:
            poison = await producer.send_and_wait(
                kafka.topics.raw, b"{", event.key, event.partition, headers=list(event.headers)
            )
        normalized = await records(kafka, kafka.topics.normalized, 2)
        (letter,) = await records(kafka, kafka.topics.dead_letter, 1)

    assert (event.value, track.value) == (EVENT, TRACK)
    assert event.key == track.key == f"{TEAM}/user-1".encode()
    assert event.timestamp_type == LOG_APPEND_TIME
    assert {record.partition for record in [event, track, *normalized, letter]} == {
        partition_for(event.key, PARTITIONS)
    }
    promised = headers_promised("events.raw")
    always = {name for name, where in promised.items() if where == "always"}
    assert set(dict(event.headers)) == always | {"traceparent"}
    assert set(dict(track.headers)) == always | {"kind", "sent_at"}
    assert set(promised) == set(dict(event.headers)) | set(dict(track.headers))
    _assert_forms(dict(event.headers) | dict(track.headers))
    in_normalized = headers_promised("events.normalized")
    for record in normalized:
        envelope = decode_envelope(record.value)
        assert record.value[:5] == b"\x00\x00\x00\x00\x01"
        assert set(dict(record.headers)) == {name for name, where in in_normalized.items() if where == "always"}
        assert dict(record.headers)["raw_offset"].decode() == str(envelope["raw_offset"])
        assert envelope["raw_partition"] == record.partition
    added = {name: value for name, value in letter.headers if name not in dict(event.headers)}
    assert (letter.key, letter.value) == (event.key, b"{")
    assert [header for header in letter.headers if header[0] not in added] == list(event.headers)
    assert set(added) == set(headers_promised("events.dead_letter"))
    assert (added["raw_partition"], added["raw_offset"]) == (b"%d" % poison.partition, b"%d" % poison.offset)


def _assert_forms(headers: dict[str, bytes]) -> None:
    assert uuid.UUID(headers["event_id"].decode()).version in {5, 7}
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", headers["received_at"])
    assert datetime.fromisoformat(headers["sent_at"].decode()) == datetime(2026, 11, 24, 10, 0, 0, 123_000, UTC)
    assert headers["traceparent"].decode() == TRACEPARENT
    assert (headers["team"], headers["kind"]) == (TEAM.encode(), b"track")


async def test_topics_when_made(kafka: KafkaSettings) -> None:
    """Retention, timestamps, compression, size and the number of partitions are what the page says.

    A team's own topic, made later, has as many partitions as the raw one, whatever is asked for.
    """
    await create_topics(kafka, PARTITIONS + 1, teams=["acme"])
    names = [kafka.topics.raw, kafka.topics.normalized, kafka.topics.dead_letter, kafka.topics.raw_of("acme")]
    admin = AIOKafkaAdminClient(**kafka.kafka_options())

    async def partitions() -> list[int]:
        counts = [len(topic["partitions"]) for topic in await admin.describe_topics(names)]
        return counts if all(counts) else []

    try:
        await admin.start()
        counts = await eventually(partitions, "Kafka tells of all topics")
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    finally:
        await admin.close()

    assert counts == [PARTITIONS] * len(names)
    for *_, entries in [resource for answer in answers for resource in answer.resources]:
        config = {entry[0]: entry[1] for entry in entries}
        assert int(config["retention.ms"]) == WEEK_MILLISECONDS
        assert int(config["max.message.bytes"]) == (1 << 20) + (64 << 10)
        assert config["message.timestamp.type"] == "LogAppendTime"
        assert (config["compression.type"], config["cleanup.policy"]) == ("producer", "delete")


def post(stack: Stack, sender_id: str, times: int = 1) -> str:
    """Post an event with an id of its sender's, once or more often; its event id."""
    body = {"version": 1, "type": "event", "event": "Paid", "id": sender_id, "properties": {"revenue": "39.95"}}
    for _ in range(times):
        answer = requests.post(
            f"{stack.env['EVENTS_API_URL']}/v1/event",
            json=body,
            headers={"X-Auth-Token": stack.env["EVENTS_TOKEN"]},
            timeout=30,
        )
        assert answer.status_code == 200
    return str(answer.json()["id"])


@contextmanager
def running(stack: Stack, command: list[str], folder: Path, path: str = os.environ["PATH"]) -> Iterator[Path]:
    """Run one of the page's consumers, which do not end by themselves; yields the file with what it prints."""
    printed = folder / "printed"
    env = {**stack.env, "PYTHONUNBUFFERED": "1", "PATH": path}
    with process(["env", f"--chdir={folder}", *command], printed, env):
        yield printed


def lines(printed: Path, containing: str) -> list[str]:
    """What was printed so far that holds these words."""
    return [line for line in printed.read_text("utf-8").splitlines() if containing in line]


def test_aiokafka_example_when_run(stack: Stack, tmp_path: Path) -> None:
    """Each sending of an event is printed, with its id and the posted bytes."""
    event_id = post(stack, uuid.uuid4().hex, times=2)

    with running(stack, [sys.executable, "-c", docs.block(PAGE, "python", "AIOKafkaConsumer")], tmp_path) as printed:
        wait_until(lambda: len(lines(printed, event_id)) == 2, "both sendings are printed")

    assert all('"revenue": "39.95"' in line for line in lines(printed, event_id))


def test_confluent_example_when_an_event_is_sent_twice(stack: Stack, tmp_path: Path) -> None:
    """It is stored once, also when the consumer begins anew with all that it had read."""
    event_id = post(stack, uuid.uuid4().hex, times=2)
    code = docs.block(PAGE, "python", "sqlite3")
    again = code.replace("demo.store", f"demo.{uuid.uuid4().hex}")

    for example in (code, again):
        last = post(stack, uuid.uuid4().hex)
        with running(stack, [sys.executable, "-c", example], tmp_path):
            wait_until(lambda last=last: stored(tmp_path, last), "the last event is stored", 60)  # type: ignore[misc]

    assert stored(tmp_path, event_id) == 1


def stored(folder: Path, event_id: str) -> int:
    """How many rows of this event the example has stored; 0 where its table is not there yet."""
    with sqlite3.connect(folder / "events.db") as store:
        try:
            return int(store.execute("SELECT count(*) FROM events WHERE event_id = ?", [event_id]).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_console_consumer_example_when_run(stack: Stack, tmp_path: Path) -> None:
    """Java's consumer prints an event's headers, key and value."""
    event_id = post(stack, uuid.uuid4().hex)
    command = ["sh", "-euc", f"exec {docs.block(PAGE, 'sh', 'kafka-console-consumer.sh')}"]

    with running(stack, command, tmp_path, kafka_tools.install(tmp_path)) as printed:
        (line,) = wait_until(lambda: lines(printed, f"event_id:{event_id}"), "the event is printed", 60)

    assert "team:demo" in line
    assert f"demo/{event_id}" in line
    assert '"revenue": "39.95"' in line


def test_normalized_example_when_run(stack: Stack, tmp_path: Path) -> None:
    """A normalized event is printed, decoded by the schema's file."""
    event_id = post(stack, uuid.uuid4().hex)
    (tmp_path / "schemas").symlink_to(docs.ROOT / "schemas")

    with running(stack, [sys.executable, "-c", docs.block(PAGE, "python", "fastavro")], tmp_path) as printed:
        (line,) = wait_until(lambda: lines(printed, event_id), "the event is printed")

    assert line.startswith(f"demo {event_id} Paid 20")
    assert line.endswith('{"revenue": "39.95"}')


def test_every_block_when_read() -> None:
    """No code block of the page is left untried."""
    tried = CONSUMERS + ACCESS

    assert [block.text for block in docs.blocks(PAGE) if not any(words in block.text for words in tried)] == []


pytestmark = pytest.mark.timeout(180)
