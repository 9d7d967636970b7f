"""Connections of aiokafka's to brokers of which one is halted."""

import asyncio

import pytest
from aiokafka import client
from aiokafka.structs import BrokerMetadata

from schemas.connecting import limit_connecting

HALTED = 99


async def test_connection_when_another_broker_is_halted(
    bootstrap_servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes connections and says nothing is given up, and holds up no other."""
    monkeypatch.setattr(client, "create_conn", client.create_conn)
    limit_connecting(0.5)
    over = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    kafka = client.AIOKafkaClient(bootstrap_servers=bootstrap_servers)
    await kafka.bootstrap()
    (number,) = (broker.nodeId for broker in kafka.cluster.brokers())
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kafka.cluster._brokers[HALTED] = BrokerMetadata(HALTED, "127.0.0.1", port, None)
        async with asyncio.timeout(20):
            halted, other = await asyncio.gather(kafka.ready(HALTED), kafka.ready(number))
        over.set()
    await kafka.close()

    assert (halted, other) == (False, True)
