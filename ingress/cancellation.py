"""Cancellations that nobody asked for.

aiokafka cancels the futures of all who wait for an answer when their connection is lost (AIOKafkaConnection.close),
which looks to them as if their own task had been cancelled.
"""

import asyncio


def is_asked_for() -> bool:
    """Whether a CancelledError that was just caught means that this task is to end."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
