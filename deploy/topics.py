"""Makes the topics in Kafka; running it again changes nothing that exists."""

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from schemas.errors import Unavailable
from schemas.settings import KafkaSettings


async def create_topics(
    kafka: KafkaSettings, partitions: int, replication: int = 1, min_insync: int = 1, retention_days: int = 7
) -> None:
    """Create the topics that are missing.

    Raises:
        Unavailable: where Kafka does not answer.
    """
    admin = AIOKafkaAdminClient(**kafka.kafka_options())
    try:
        await admin.start()
        present = set(await admin.list_topics())
        missing = [
            NewTopic(
                spec.name, partitions, replication, topic_configs=spec.config | {"min.insync.replicas": str(min_insync)}
            )
            for spec in kafka.topics.specs(retention_days)
            if spec.name not in present
        ]
        if missing:
            await admin.create_topics(missing)
    except KafkaError as error:
        raise Unavailable(f"Kafka at {kafka.kafka_bootstrap_servers} does not answer: {error}") from error
    finally:
        await admin.close()
