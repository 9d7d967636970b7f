"""Makes the topics in Kafka; running it again changes nothing that exists."""

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.errors import Unavailable
from schemas.settings import KafkaSettings

BROKERS_DEFAULT = -1
"""Kafka takes this for `default.replication.factor` (KIP-464)."""
RETENTION_DAYS = 7


async def create_topics(
    kafka: KafkaSettings,
    partitions: int,
    replication: int = BROKERS_DEFAULT,
    min_insync: int | None = None,
    teams: Sequence[str] = (),
) -> int:
    """Create the topics that are missing; returns how many partitions the raw topic has, which may be older.

    How many replicas there are, and how many of them must acknowledge, is the cluster's own default unless it is said.
    The `teams` get a topic of their own.

    Raises:
        Unavailable: where Kafka does not answer, or does not make them.
    """
    admin = AIOKafkaAdminClient(**kafka.kafka_options())
    try:
        await admin.start()
        present = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        partitions = present.get(kafka.topics.raw, partitions)
        durability = {} if min_insync is None else {"min.insync.replicas": str(min_insync)}
        missing = [
            _new_topic(spec.name, spec.partitions or partitions, replication, spec.config | durability)
            for spec in kafka.topics.specs(RETENTION_DAYS, teams)
            if spec.name not in present
        ]
        if missing:
            answer = await admin.create_topics(missing)
            _raise_for(answer.topic_errors)
    except KafkaError as error:
        raise Unavailable(f"Kafka at {kafka.kafka_bootstrap_servers}: {error!r}") from error
    finally:
        await admin.close()
    return partitions


def _new_topic(name: str, partitions: int, replication: int, config: dict[str, str]) -> NewTopic:
    topic = NewTopic(name, partitions, abs(replication), topic_configs=config)
    # The constructor takes -1 for a mistake.
    topic.replication_factor = replication
    return topic


def _raise_for(answers: list[tuple[str, int, str]]) -> None:
    """The client itself does not look into the broker's answer per topic; it only returns it."""
    for topic, code, *message in answers:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"{topic}: {' '.join(str(part) for part in message)}")
