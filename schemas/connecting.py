"""How long a broker may take to take up a connection.

aiokafka gives it as long as for the answer to any request, and opens one connection at a time: while it waits for a
broker that is halted, which takes connections and says nothing, it cannot reach the others, to learn which of them
leads now.
"""

import asyncio
from typing import Any

from aiokafka import client
from aiokafka.conn import AIOKafkaConnection, create_conn

CALLED_WHEN_CLOSED = "on_close"


def limit_connecting(seconds: float) -> None:
    """From now on no client of this process waits longer for one of the brokers that it knows.

    Its first connection, by which it learns of them, has no such limit: it holds up no other, and Kafka may be slow to
    start.
    """

    async def connect(host: str, port: int, **options: Any) -> AIOKafkaConnection:
        async with asyncio.timeout(seconds if CALLED_WHEN_CLOSED in options else None):
            return await create_conn(host, port, **options)

    client.create_conn = connect
