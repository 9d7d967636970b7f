"""Services that tests share.

Each comes from the environment where it is named there (KAFKA_BOOTSTRAP_SERVERS, CLICKHOUSE_URL), else it is started
from `deploy.local`.  This is the one place that decides; containers join here.
"""

import os
import uuid
from collections.abc import Iterator

import pytest

from deploy.topics import create_topics
from schemas.settings import KafkaSettings
from tests.services import kafka_node, running_kafka

PARTITIONS = 4


@pytest.fixture(scope="session")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Kafka."""
    if named := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield named
        return
    node = kafka_node(tmp_path_factory.mktemp("kafka"))
    with running_kafka(node):
        yield node.bootstrap_servers


@pytest.fixture
async def kafka(bootstrap_servers: str) -> KafkaSettings:
    """Settings of a pipeline of its own: fresh topics and groups behind a prefix that no other test has."""
    prefix = f"t{uuid.uuid4().hex[:12]}."
    settings = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=prefix)
    await create_topics(settings, PARTITIONS)
    return settings
