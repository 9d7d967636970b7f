"""Cancellations that nobody asked for.

aiokafka cancels the futures of all who wait for an answer when their connection is lost (AIOKafkaConnection.close), and
its consumer's stop() raises the cancellation of a task of its own: both look as if one's own task had been cancelled.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaConnectionError


@contextmanager
def told_apart() -> Iterator[None]:
    """Turn a lost connection into the error that it is; who is cancelled stays cancelled.

    Raises:
        KafkaConnectionError: where the connection was lost.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise KafkaConnectionError("the connection was lost") from error
