"""The catalogue of faults.  Each is inflicted under load and healed again before it returns."""

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass

from tests.faults import mortal
from tests.faults.pipeline import LINKS, Pipeline
from tests.faults.proxy import Direction, Proxy
from tests.services import wait_until

PROCESSES = ("ingress", "stream", "sink", "clickhouse", "kafka")
SESSION_SECONDS = 10
LINK_SECONDS = 8
LOOP_BLOCKED_SECONDS = 40
REACHED_SECONDS = 30
LATE_SECONDS = 25


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `inflict` returns when it is over."""

    name: str
    inflict: Callable[[Pipeline], Awaitable[None]]


async def _nothing(_pipeline: Pipeline) -> None:
    """The load alone."""


NO_FAULT = Fault("no fault", _nothing)
"""The baseline, without which the other runs prove little."""


def _signal(process: str, number: signal.Signals) -> Fault:
    async def inflict(pipeline: Pipeline) -> None:
        pipeline.send(process, number)

    return Fault(f"{number.name} {process}", inflict)


def _halt(process: str, seconds: float) -> Fault:
    """Longer than the session time-out: the group goes on without it, and it wakes up as a stranger."""

    async def inflict(pipeline: Pipeline) -> None:
        pipeline.send(process, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        pipeline.send(process, signal.SIGCONT)

    return Fault(f"SIGSTOP {process} {seconds:.0f} s", inflict)


def _storm(process: str, times: int = 5) -> Fault:
    async def inflict(pipeline: Pipeline) -> None:
        for _ in range(times):
            pipeline.send(process, signal.SIGKILL)
            await asyncio.sleep(2)

    return Fault(f"restart storm {process}", inflict)


def _takeover(process: str) -> Fault:
    """Halt the one copy while a second one takes its partitions, then wake it."""

    async def inflict(pipeline: Pipeline) -> None:
        pipeline.send(process, signal.SIGSTOP)
        await pipeline.start(f"{process}-1")
        await asyncio.sleep(SESSION_SECONDS + 5)
        pipeline.send(process, signal.SIGCONT)
        await asyncio.sleep(3)
        await pipeline.stop(f"{process}-1")

    return Fault(f"takeover {process}", inflict)


def _scale(process: str) -> Fault:
    async def inflict(pipeline: Pipeline) -> None:
        for copy in (f"{process}-1", f"{process}-2"):
            await pipeline.start(copy)
            await asyncio.sleep(2)
        for copy in (f"{process}-2", f"{process}-1"):
            await pipeline.stop(copy)
            await asyncio.sleep(2)

    return Fault(f"scale {process} 1→3→1", inflict)


def _link(link: str, what: str, hurt: Callable[[Proxy], None], seconds: float = LINK_SECONDS) -> Fault:
    async def inflict(pipeline: Pipeline) -> None:
        between = pipeline.links[link]
        hurt(between)
        await asyncio.sleep(seconds)
        between.heal()

    return Fault(f"{what} {link}", inflict)


def _delay(between: Proxy) -> None:
    between.requests.delay_seconds = between.answers.delay_seconds = 0.2


def _throttle(between: Proxy) -> None:
    between.requests.bytes_per_second = between.answers.bytes_per_second = 10_000


def _cut_answers(between: Proxy) -> None:
    between.answers.swallow = True


def _cut_requests(between: Proxy) -> None:
    between.requests.swallow = True


def refuse(between: Proxy) -> None:
    """Break every connection, and take no new ones."""
    between.refuse = True
    between.reset()


_LINK_FAULTS: dict[str, Callable[[Proxy], None]] = {
    "delayed": _delay,
    "throttled": _throttle,
    "answers cut": _cut_answers,
    "requests cut": _cut_requests,
    "partitioned": Proxy.partition,
    "refused": refuse,
    "reset": Proxy.reset,
}


async def _killed_between_insert_and_answer(pipeline: Pipeline) -> None:
    between = pipeline.links["sink-clickhouse"]
    between.answers.swallow = True
    await asyncio.sleep(2)
    pipeline.send("clickhouse", signal.SIGKILL)
    await asyncio.sleep(1)
    between.heal()


async def _sink_killed_between_insert_and_answer(pipeline: Pipeline) -> None:
    between = pipeline.links["sink-clickhouse"]
    between.answers.swallow = True
    await asyncio.sleep(2)
    pipeline.send("sink", signal.SIGKILL)
    await asyncio.sleep(1)
    between.heal()


async def _late_insert(pipeline: Pipeline) -> None:
    """An insert waits in the network; its sink is killed, the next one redoes its range, and then the first arrives."""
    between = pipeline.links["sink-clickhouse"]
    between.requests.delay_seconds = LATE_SECONDS
    await asyncio.sleep(3)
    between.requests = Direction()
    pipeline.send("sink", signal.SIGKILL)
    await asyncio.sleep(LATE_SECONDS)


async def _accounts_locked(pipeline: Pipeline) -> None:
    with closing(sqlite3.connect(pipeline.folder / "accounts.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        await asyncio.sleep(SESSION_SECONDS)
        database.execute("ROLLBACK")


def _death(process: str, step: str) -> Fault:
    async def inflict(pipeline: Pipeline) -> None:
        due = pipeline.folder / f"{process}.dies"
        way = mortal.way_to(step)
        due.write_text("\n".join(way), "utf-8")
        await asyncio.to_thread(
            wait_until, lambda: not due.exists(), f"{process} came {step}", len(way) * REACHED_SECONDS
        )

    return Fault(f"{process} dies {step}", inflict)


def deaths() -> list[Fault]:
    """Stream and sink die at each step between reading and commit."""
    return [_death(process, step) for process in mortal.CALLS for step in mortal.steps(process)]


def process_faults() -> list[Fault]:
    """What happens to processes."""
    return [
        *(_signal(process, number) for number in (signal.SIGTERM, signal.SIGKILL) for process in PROCESSES),
        *(_halt(process, SESSION_SECONDS + 5) for process in PROCESSES),
        *(_halt(process, LOOP_BLOCKED_SECONDS) for process in ("stream", "sink")),
        *(_storm(process) for process in ("ingress", "stream", "sink")),
        *(_scale(process) for process in ("stream", "sink")),
        *(_takeover(process) for process in ("stream", "sink")),
        Fault("clickhouse killed between insert and answer", _killed_between_insert_and_answer),
        Fault("sink killed between insert and answer", _sink_killed_between_insert_and_answer),
        Fault("late insert of a killed sink", _late_insert),
        Fault("accounts database locked", _accounts_locked),
    ]


def link_faults() -> list[Fault]:
    """What happens between processes."""
    return [_link(link, what, hurt) for link in LINKS for what, hurt in _LINK_FAULTS.items()]


def together(first: Fault, second: Fault) -> Fault:
    """Both at once."""

    async def inflict(pipeline: Pipeline) -> None:
        await asyncio.gather(first.inflict(pipeline), second.inflict(pipeline))

    return Fault(f"{first.name} + {second.name}", inflict)
