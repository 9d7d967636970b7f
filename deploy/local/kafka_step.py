"""The embedded Kafka up to the command that runs it: jars and storage, both made the first time only."""

import asyncio
import threading
from pathlib import Path

from deploy.local.checks import free_port
from deploy.local.jars import JarError, cache_folder, fetch, locked_jars
from deploy.local.kafka import KafkaError, KafkaNode
from deploy.local.plan import Plan
from deploy.local.reports import Progressed, Reporter
from deploy.local.step import step

_NAME = "kafka jars"


async def bring_jars(reporter: Reporter) -> tuple[Path, ...]:
    """Kafka's jars, each one checked; from the network the first time only.

    Raises:
        LaunchError: one could not be fetched.
    """
    jars, cache, loop, gone = locked_jars(), cache_folder(), asyncio.get_running_loop(), threading.Event()
    known, size = sum(1 for _ in cache.rglob("*.jar")), 0

    def on_jar(count: int, size_so_far: int) -> None:
        nonlocal size
        if gone.is_set():  # Ctrl-C: a thread cannot be cancelled, only asked
            raise JarError("not wanted any more")
        size = size_so_far
        progress = Progressed(_NAME, f"{count} of {len(jars)}, {size // 1_000_000} MB", count, len(jars))
        loop.call_soon_threadsafe(reporter.report, progress)

    with step(_NAME, reporter, JarError) as work:
        try:
            paths = await asyncio.to_thread(fetch, jars, cache, on_jar)
        finally:
            gone.set()
        note = "first time only" if known < len(jars) else ""
        work.done(f"{len(jars)} files, {size // 1_000_000} MB", note)
    return tuple(paths)


async def kafka_command(plan: Plan, jars: tuple[Path, ...]) -> list[str]:
    """The command that runs Kafka; formats its storage the first time.

    Raises:
        KafkaError: with the tool's own words.
    """
    options = plan.options
    controller_port = options.kafka_controller_port or free_port()
    node = KafkaNode(jars, options.layout.kafka, options.kafka_port, controller_port)
    return await asyncio.to_thread(node.prepare)


__all__ = ["KafkaError", "bring_jars", "kafka_command"]
