"""`events.raw.<team>`: what the stream copies there, and what it never does."""

import os
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.structs import ConsumerRecord

from deploy.topics import create_topics
from schemas.settings import KafkaSettings
from schemas.topics import MAX_RECORD_BYTES, RAW_OFFSET, TEAM, Headers
from tests.integration.stream_harness import BAD_EVERY, Broker, broker, faulty, stream
from tests.integration.test_raw_topic import headers_promised
from tests.integration.test_stream import get
from tests.services import PARTITIONS, free_port

# By turns; the first two have a topic.
SENDERS = (b"demo", b"acme", b"globex", None, b"demo")
TEAMS = ("demo", "acme")
RECORDS = 1500


async def load(kafka: KafkaSettings) -> None:
    """As many raw records in each partition; some are no JSON, and some of no team."""
    async with AIOKafkaProducer(**kafka.kafka_options(), enable_idempotence=True, linger_ms=5) as producer:
        for number in range(RECORDS):
            value = b'{"version":1,"type":"event","event":"e","more":[%d ]}' % number if number % BAD_EVERY else b"{"
            for partition in range(PARTITIONS):
                headers = raw_headers(number, SENDERS[number % len(SENDERS)])
                await producer.send(kafka.topics.raw, value, b"k/%d" % number, partition, headers=headers)
        await producer.flush()


def raw_headers(number: int, team: bytes | None) -> Headers:
    """As the ingress writes them, but for the team, which may be missing."""
    headers = [
        ("event_id", b"0190d9a0-0000-7000-8000-%012x" % number),
        ("token_id", b"7"),
        ("format", b"event.v1"),
        ("received_at", b"2026-11-23T10:00:00.123456Z"),
    ]
    return headers if team is None else [*headers, (TEAM, team)]


def content(record: ConsumerRecord) -> tuple[bytes | None, bytes | None, Headers]:
    """What of a copy must be the raw record's."""
    return record.key, record.value, [header for header in record.headers if header[0] != RAW_OFFSET]


async def assert_copied(kafka_broker: Broker, team: str) -> int:
    """First occurrences in a team's topic are its raw records in order, byte for byte; how many copies there are."""
    raw = await kafka_broker.records(kafka_broker.topics.raw)
    copies = await kafka_broker.records(kafka_broker.topics.raw_of(team))
    for records, copied in zip(raw, copies, strict=True):
        wanted = {r.offset: content(r) for r in records if dict(r.headers).get(TEAM) == team.encode()}
        assert len(wanted) >= RECORDS // len(SENDERS)
        found = dict[int, object]()
        for record in copied:
            offset = int(dict(record.headers)[RAW_OFFSET])
            assert found.setdefault(offset, content(record)) == content(record)
        assert list(found.items()) == list(wanted.items())
    return sum(map(len, copies))


async def test_copies_when_some_teams_have_a_topic(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Each gets all of its own records once, dead letters too, and none of another team's or of nobody's."""
    port = free_port()
    await create_topics(kafka, PARTITIONS, teams=TEAMS)
    async with broker(kafka) as kafka_broker:
        await load(kafka)
        with stream(kafka, tmp_path / "stream.log", STREAM_TEAM_TOPICS=",".join(TEAMS), STREAM_METRICS_PORT=str(port)):
            await kafka_broker.caught_up()
            metrics = get(port, "/metrics")[1]
        counts = [await assert_copied(kafka_broker, team) for team in TEAMS]
        first = (await kafka_broker.records(kafka.topics.raw_of("demo")))[0][0]
        normalized = await kafka_broker.ends(kafka.topics.normalized)

    each = RECORDS * PARTITIONS // len(SENDERS)
    assert counts == [2 * each, each]
    assert f"eventsapi_records_copied_total {sum(counts)}.0" in metrics
    assert set(dict(first.headers)) - set(dict(raw_headers(0, b""))) == set(headers_promised("events.raw.<team>"))
    assert sum(normalized) > sum(counts)


async def test_copies_when_records_are_as_large_as_kafka_takes(kafka: KafkaSettings, tmp_path: Path) -> None:
    """One that fits with its offset is whole, a larger one comes without value, and the stream goes on behind it."""
    headers = raw_headers(0, b"demo")
    own_bytes = sum(len(name) + len(value) for name, value in headers) + len(RAW_OFFSET) + len(b"0")
    values = [os.urandom(MAX_RECORD_BYTES - own_bytes), os.urandom(MAX_RECORD_BYTES + (60 << 10)), b"{}"]
    await create_topics(kafka, PARTITIONS, teams=["demo"])
    async with broker(kafka) as kafka_broker:
        for value in values:
            await kafka_broker.produce_raw(0, None, value, headers)
        with stream(kafka, tmp_path / "stream.log", STREAM_TEAM_TOPICS="demo"):
            await kafka_broker.caught_up()
        copies = (await kafka_broker.records(kafka.topics.raw_of("demo")))[0]

    assert [copied.value for copied in copies] == [values[0], None, values[2]]
    assert [content(copied)[2] for copied in copies] == [headers] * 3


async def test_copies_when_the_stream_is_killed(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Nothing is committed whose copy is not there; what comes twice after a restart leaves no gap."""
    await create_topics(kafka, PARTITIONS, teams=TEAMS)
    options = {"STREAM_TEAM_TOPICS": ",".join(TEAMS)}
    async with broker(kafka) as kafka_broker:
        await load(kafka)
        for share in (0.2, 0.5):
            with stream(
                kafka, tmp_path / "stream.log", faulty("slow_kafka"), **options, STREAM_COMMIT_INTERVAL_SECONDS="0.01"
            ) as running:
                await kafka_broker.normalized_reaches(int(share * RECORDS * PARTITIONS))
                running.kill()
            await assert_nothing_committed_past_the_copies(kafka_broker)
        with stream(kafka, tmp_path / "stream.log", **options):
            await kafka_broker.caught_up()
        for team in TEAMS:
            await assert_copied(kafka_broker, team)


async def assert_nothing_committed_past_the_copies(kafka_broker: Broker) -> None:
    """Below each committed offset every record of a team has its copy."""
    committed = await kafka_broker.committed()
    raw = await kafka_broker.records(kafka_broker.topics.raw)
    for team in TEAMS:
        copies = await kafka_broker.records(kafka_broker.topics.raw_of(team))
        for offset, records, copied in zip(committed, raw, copies, strict=True):
            wanted = {r.offset for r in records[:offset] if dict(r.headers).get(TEAM) == team.encode()}
            assert wanted <= {int(dict(record.headers)[RAW_OFFSET]) for record in copied}


async def test_stream_when_a_teams_topic_is_not_as_it_must_be(kafka: KafkaSettings, tmp_path: Path) -> None:
    """It does not start, whether the topic is missing or has other partitions: exit 2, and what to do."""
    log, topic = tmp_path / "stream.log", kafka.topics.raw_of("demo")
    with stream(kafka, log, STREAM_TEAM_TOPICS="demo") as running:
        assert running.wait(30) == 2
    async with broker(kafka) as kafka_broker:
        await kafka_broker.admin.create_topics([NewTopic(topic, PARTITIONS - 1, 1)])
    with stream(kafka, log, STREAM_TEAM_TOPICS="demo") as running:
        assert running.wait(30) == 2

    missing, uneven = log.read_text("utf-8").strip().splitlines()[-2:]
    assert missing == f"There is no topic {topic}, or it may not be seen: create it first."
    assert uneven.startswith(f"{topic} has {PARTITIONS - 1} partitions and {kafka.topics.raw} has {PARTITIONS}")


async def test_stream_when_a_teams_topic_is_deleted(kafka: KafkaSettings, tmp_path: Path) -> None:
    """It ends, and commits nothing past what was not copied: when the topic is back, no later record is missing."""
    await create_topics(kafka, PARTITIONS, teams=["demo"])
    topic, log = kafka.topics.raw_of("demo"), tmp_path / "stream.log"
    async with broker(kafka) as kafka_broker:
        await kafka_broker.produce_raw(0, None, b"{}", raw_headers(0, b"demo"))
        with stream(kafka, log, STREAM_TEAM_TOPICS="demo", STREAM_STALL_SECONDS="5") as running:
            await kafka_broker.caught_up()
            await kafka_broker.admin.delete_topics([topic])
            await kafka_broker.produce_raw(0, None, b"{}", raw_headers(1, b"demo"))
            assert running.wait(100) != 0
        await create_topics(kafka, PARTITIONS, teams=["demo"])
        with stream(kafka, log, STREAM_TEAM_TOPICS="demo"):
            await kafka_broker.caught_up()
        (copy,) = (await kafka_broker.records(topic))[0]

    assert dict(copy.headers)[RAW_OFFSET] == b"1"
