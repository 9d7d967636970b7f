"""The stream or the sink with a known hang of aiokafka's: `python -m tests.integration.hanging aiokafka_847 sink`.

Each hangs where aiokafka 0.14 would, and the process is told nothing: no error, and no public signal.
"""

import asyncio
import runpy
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest

from schemas.watchdog import Probe

# The tests' session time-outs are 6 s.
BLOCKED_SECONDS = 8


async def _for_ever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def loop_blocked() -> None:
    """aiokafka#847: the loop is blocked for longer than the session, and rejoining waits for the heartbeat's task."""
    join, stop_heartbeats = GroupCoordinator._do_rejoin_group, GroupCoordinator._stop_heartbeat_task

    async def joined(self: GroupCoordinator, subscription: object) -> Any:
        success = await join(self, subscription)
        if success:
            asyncio.get_running_loop().call_later(1, time.sleep, BLOCKED_SECONDS)
        return success

    async def hang(self: GroupCoordinator) -> None:
        if self._heartbeat_task is not None:
            await _for_ever()
        await stop_heartbeats(self)

    GroupCoordinator._do_rejoin_group = joined
    GroupCoordinator._stop_heartbeat_task = hang


def broker_restarted() -> None:
    """aiokafka#1154: once a broker went away, fetches are never answered again, while all else is."""
    send = AIOKafkaClient.send
    lost = asyncio.Event()

    async def hang(self: AIOKafkaClient, node_id: object, request: object, **options: object) -> Any:
        if not isinstance(request, FetchRequest):
            return await send(self, node_id, request, **options)
        try:
            answer = None if lost.is_set() else await send(self, node_id, request, **options)
        except KafkaError:
            lost.set()
        return await _for_ever() if lost.is_set() else answer

    AIOKafkaClient.send = hang


def never_joins() -> None:
    """The group is never joined, not even at the start."""

    async def hang(_self: GroupCoordinator, _subscription: object) -> None:
        await _for_ever()

    GroupCoordinator._do_rejoin_group = hang


def cannot_leave() -> None:
    """A bug, not a hang, at first; but to leave Kafka, a producer waits for what Kafka does not take."""

    async def fail(_self: Probe, _partitions: object) -> NoReturn:
        raise ZeroDivisionError("a bug in the watchdog")

    async def hang(_self: AIOKafkaProducer) -> None:
        await _for_ever()

    Probe.ask = fail  # type: ignore[method-assign, assignment] # the bug
    AIOKafkaProducer.stop = hang


HANGS: dict[str, Callable[[], None]] = {
    "aiokafka_847": loop_blocked,
    "aiokafka_1154": broker_restarted,
    "never_joins": never_joins,
    "cannot_leave": cannot_leave,
}


def hanging(hang: str, process: str) -> list[str]:
    """The command of a process that has this hang."""
    return [sys.executable, "-m", "tests.integration.hanging", hang, process]


if __name__ == "__main__":
    HANGS[sys.argv[1]]()
    runpy.run_module(sys.argv[2], run_name="__main__", alter_sys=True)
