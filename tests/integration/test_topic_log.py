"""The sink's way to the topics, for its audit and its dead letters."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from deploy.topics import create_topics
from schemas.errors import Unavailable
from schemas.settings import KafkaSettings
from sink.audit import Span
from sink.topic_log import TopicLog
from tests.services import eventually, kafka_node, running_kafka


async def test_topic_log_when_kafka_goes_away_while_it_reads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Disconnecting says that Kafka is away; aiokafka's own cancellations would end in silence who follows a topic."""
    node = kafka_node(tmp_path)
    kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
    at = TopicPartition(kafka.topics.raw, 0)

    async def fails() -> bool:
        return "Failed fetch" in caplog.text

    with running_kafka(node) as server:
        await create_topics(kafka, 1)
        async with AIOKafkaProducer(**kafka.kafka_options()) as producer:
            await producer.send_and_wait(at.topic, b"value", partition=0)
        log = await TopicLog(kafka).__aenter__()
        reading = log.read(at, Span(0, 2))
        assert len(await anext(reading)) == 1
        server.kill()
        await eventually(fails, "what it reads from is gone", 30)

    with pytest.raises(Unavailable):
        await log.__aexit__(None, None, None)
