"""Makes the topics in Kafka; running it again changes nothing that exists."""

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.errors import Unavailable
from schemas.settings import KafkaSettings


async def create_topics(
    kafka: KafkaSettings, partitions: int, replication: int = 1, min_insync: int = 1, retention_days: int = 7
) -> int:
    """Create the topics that are missing; returns how many partitions the raw topic has, which may be older.

    Raises:
        Unavailable: where Kafka does not answer, or does not make them.
    """
    admin = AIOKafkaAdminClient(**kafka.kafka_options())
    try:
        await admin.start()
        present = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        missing = [
            NewTopic(
                spec.name, partitions, replication, topic_configs=spec.config | {"min.insync.replicas": str(min_insync)}
            )
            for spec in kafka.topics.specs(retention_days)
            if spec.name not in present
        ]
        if missing:
            answer = await admin.create_topics(missing)
            _raise_for(answer.topic_errors)
    except KafkaError as error:
        raise Unavailable(f"Kafka at {kafka.kafka_bootstrap_servers}: {error!r}") from error
    finally:
        await admin.close()
    return present.get(kafka.topics.raw, partitions)


def _raise_for(answers: list[tuple[str, int, str]]) -> None:
    """The client itself does not look into the broker's answer per topic; it only returns it."""
    for topic, code, *message in answers:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"{topic}: {' '.join(str(part) for part in message)}")
