"""The watchdog's questions to a Kafka, and what counts as no answer."""

from typing import NoReturn

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.topics import create_topics
from schemas.settings import KafkaSettings
from schemas.watchdog import Probe
from tests.services import PARTITIONS, eventually


async def test_probe_when_its_connection_is_closed(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uvloop raises RuntimeError where aiokafka writes to a closed connection: no answer; the next question has one."""
    topics = kafka.topics
    await create_topics(kafka, PARTITIONS)
    probe = Probe(kafka, topics.raw, topics.stream_group, [topics.normalized])

    async def is_answered() -> bool:
        answer = await probe.ask([0])
        return answer.group and answer.whole and answer.ends == {0: 0}

    await eventually(is_answered, "Kafka answers all questions")

    async def closed(_self: AIOKafkaAdminClient, _groups: object) -> NoReturn:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    with monkeypatch.context() as patched:
        patched.setattr(AIOKafkaAdminClient, "describe_consumer_groups", closed)
        assert not (await probe.ask([0])).group

    await eventually(is_answered, "Kafka answers again")
    assert probe._clients is not None
    await probe._clients.close()
