"""docs/raw-topic.md, Access: its commands as they stand, on a Kafka with the authorizer on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import requests
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError
from aiokafka.structs import ConsumerRecord

from deploy.topics import create_topics
from schemas.settings import ClickHouseSettings, KafkaSettings
from schemas.topics import TEAM
from tests.ingress import Ingress, make_accounts, running_ingress
from tests.integration.stream_harness import stream
from tests.secured_kafka import SecuredKafka, running_secured_kafka
from tests.services import PARTITIONS, wait_until
from tests.sink import Warehouse, running_sink

pytestmark = pytest.mark.timeout(400)
USER = "acme-reader"
CREATE, DELETE, LEAST, MORE = f"create_user {USER}", "--delete-config", "create_user events-ingress", "Describe"
OWN_USER = "acme-own"
OWN, COPYING = f"create_user {OWN_USER}", "--topic events.raw. "


@pytest.fixture
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredKafka]:
    """One with the topics, and a record in `events.raw`."""
    with running_secured_kafka(tmp_path_factory.mktemp("secured")) as running:
        await create_topics(running.inner, PARTITIONS)
        async with AIOKafkaProducer(**running.inner.kafka_options(), acks="all") as producer:
            await producer.send_and_wait("events.raw", b"value", b"key")
        yield running


async def read_one(kafka: KafkaSettings, topic: str, group: str) -> ConsumerRecord:
    """The first record that a member of a group gets."""
    options = kafka.kafka_options() | {"auto_offset_reset": "earliest"}
    consumer = AIOKafkaConsumer(topic, **options, group_id=group)
    try:
        await consumer.start()
        record = await consumer.getone()
        await consumer.commit()
    finally:
        await consumer.stop()
    return record


async def write_one(kafka: KafkaSettings, topic: str) -> None:
    """Write a record."""
    producer = AIOKafkaProducer(**kafka.kafka_options())
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"value")
    finally:
        await producer.stop()


async def assert_unknown(kafka: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    """Kafka refuses the user; aiokafka tells why in its log alone."""
    caplog.clear()
    with pytest.raises(KafkaConnectionError):
        await read_one(kafka, "events.raw", "acme.printer")
    assert "invalid credentials" in caplog.text


def files_with(secured: SecuredKafka, password: str) -> dict[str, int]:
    """Which files hold a password, and their modes."""
    texts = {path: path.read_text("utf-8") for path in secured.folder.iterdir() if path.is_file()}
    return {path.name: path.stat().st_mode & 0o777 for path, text in texts.items() if password in text}


async def test_team_user_when_created_and_deleted(secured: SecuredKafka, caplog: pytest.LogCaptureFixture) -> None:
    """It reads the raw topic in groups of its prefix, and nothing else is allowed; deleted, it is refused.

    Its password is in one file, for its owner's eyes.
    """
    secured.run(CREATE)
    reader = secured.settings(USER)

    assert files_with(secured, secured.password(USER)) == {f"{USER}.properties": 0o600}
    assert (await read_one(reader, "events.raw", "acme.printer")).value == b"value"
    with pytest.raises(GroupAuthorizationFailedError):
        await read_one(reader, "events.raw", "events-stream")
    for topic in ("events.normalized", "events.dead_letter", "events.refusals"):
        with pytest.raises(TopicAuthorizationFailedError):
            await read_one(reader, topic, "acme.printer")
    for topic in ("events.raw", "events.dead_letter"):
        with pytest.raises(TopicAuthorizationFailedError):
            await write_one(reader, topic)
    await assert_unknown(secured.settings(USER, "wrong"), caplog)
    with pytest.raises(KafkaConnectionError):
        await read_one(KafkaSettings(kafka_bootstrap_servers=secured.servers), "events.raw", "acme.printer")

    secured.run(DELETE)

    await assert_unknown(reader, caplog)


async def test_team_user_when_it_has_a_topic_of_its_own(secured: SecuredKafka, tmp_path: Path) -> None:
    """The stream fills it; the team's user reads it in groups of its prefix, and is refused what holds others' events.

    The topic is made as the raw one is.
    """
    topics = secured.inner.topics
    await create_topics(secured.inner, PARTITIONS, teams=["globex"])
    secured.run(LEAST, COPYING, OWN)
    async with AIOKafkaProducer(**secured.inner.kafka_options(), acks="all") as producer:
        for team in (b"globex", b"acme"):
            await producer.send_and_wait(topics.raw, team, b"key", headers=[(TEAM, team)])
    own = secured.settings(OWN_USER)

    with stream(
        secured.inner, tmp_path / "stream.log", **secured.env("events-stream"), STREAM_TEAM_TOPICS="acme,globex"
    ):
        assert (await read_one(own, "events.raw.acme", "acme.printer")).value == b"acme"
        assert (await read_one(secured.inner, "events.raw.globex", "globex.printer")).value == b"globex"

    with pytest.raises(GroupAuthorizationFailedError):
        await read_one(own, "events.raw.acme", "globex.printer")
    for topic in (topics.raw, "events.raw.globex", topics.normalized, topics.dead_letter, topics.refusals):
        with pytest.raises(TopicAuthorizationFailedError):
            await read_one(own, topic, "acme.printer")
    for topic in (topics.raw, "events.raw.acme", "events.raw.globex"):
        with pytest.raises(TopicAuthorizationFailedError):
            await write_one(own, topic)
    assert await configuration(secured.inner, "events.raw.acme") == await configuration(secured.inner, topics.raw)


async def configuration(kafka: KafkaSettings, topic: str) -> dict[str, str]:
    """All that is configured of a topic."""
    admin = AIOKafkaAdminClient(**kafka.kafka_options())
    try:
        await admin.start()
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    ((*_, entries),) = answer.resources
    return {entry[0]: entry[1] for entry in entries}


async def test_processes_when_each_has_the_least_rights(
    secured: SecuredKafka, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    """An event gets from the ingress to its row, is found by its receipt and by the audit; a dead letter to its row."""
    secured.run(LEAST, MORE)
    accounts_url, token = await make_accounts(tmp_path)
    warehouse = Warehouse(clickhouse)

    with (
        running_ingress(secured.inner, accounts_url, tmp_path, wait=True, **secured.env("events-ingress")) as ingress,
        stream(secured.inner, tmp_path / "stream.log", **secured.env("events-stream")),
    ):
        answer = ingress.post(token)
        assert answer.status_code == 200
        # Not stored yet, so Kafka alone can tell.
        wait_until(
            lambda: "normalized" in receipt(ingress, token, answer.json()["id"]), "the receipt tells its way", 60
        )
        with running_sink(
            secured.inner,
            clickhouse,
            tmp_path / "sink.log",
            wait=True,
            sink_audit_interval_seconds=0.5,
            **secured.env("events-sink"),
        ) as sink:
            wait_until(lambda: warehouse.rows() == 1, "the row is there", 60)
            wait_until(lambda: sink.metric("eventsapi_audited_offset") >= 1, "the audit has seen it", 60)
            # The fixture's record has no headers.
            wait_until(lambda: sink.metric("eventsapi_dead_letter_rows_total") == 1, "the dead letter's row", 60)


def receipt(ingress: Ingress, token: str, event_id: str) -> str:
    """What the ingress tells of an event."""
    return requests.get(f"{ingress.base_url}/v1/events/{event_id}", headers={"X-Auth-Token": token}, timeout=30).text
