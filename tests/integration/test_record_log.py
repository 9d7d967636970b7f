"""The way of a receipt to the topics."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer

from deploy.topics import create_topics
from ingress.receipts.evidence import Wanted
from ingress.receipts.record_log import RecordLog
from schemas.errors import Unavailable
from schemas.settings import KafkaSettings
from tests.services import kafka_node, running_kafka

WANTED = Wanted("demo", UUID("01936f0e-8a1c-7c3e-9b5f-2d1e4a6b8c0d"))


async def test_record_log_when_kafka_goes_away_while_it_reads(tmp_path: Path) -> None:
    """It says that Kafka is away; aiokafka's own cancellations would end the request without an answer."""
    node = kafka_node(tmp_path)
    kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
    with running_kafka(node) as server:
        await create_topics(kafka, 1)
        async with AIOKafkaProducer(**kafka.kafka_options()) as producer:
            # More than one answer brings, so that the client fetches ahead.
            sent = [await producer.send(kafka.topics.raw, bytes(500), partition=0) for _ in range(20_000)]
            await asyncio.gather(*sent)
        async with RecordLog(kafka, len(sent)) as log:
            await log.trace(WANTED, all_raw=True)
            server.kill()
            with pytest.raises(Unavailable):
                await log.trace(WANTED, all_raw=True)
