"""The local Kafka is a real one."""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.settings import KafkaSettings
from tests.services import PARTITIONS


async def test_record_when_produced_durably(kafka: KafkaSettings) -> None:
    """A record acknowledged by all replicas is read back from the partition it was sent to."""
    topic = TopicPartition(kafka.topics.raw, PARTITIONS - 1)
    async with AIOKafkaProducer(**kafka.kafka_options(), acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(topic.topic, b"value", partition=topic.partition)

    async with AIOKafkaConsumer(**kafka.kafka_options()) as consumer:
        consumer.assign([topic])
        await consumer.seek_to_beginning(topic)
        record = await consumer.getone(topic)

    assert record.value == b"value"
    assert record.offset == 0
