"""Disks that run full: Kafka's and ClickHouse's data folders each lie on a small file system of their own, in memory.

A filler takes what is left of it, down to the last page; deleting it is all the help that the pipeline gets.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from tests.faults.checker import Violation
from tests.faults.faults import Fault
from tests.faults.pipeline import Pipeline, running_pipeline
from tests.faults.progress import answered, counted, goes_on, grows

KAFKA_MEGABYTES = 256
CLICKHOUSE_MEGABYTES = 512
FULL_SECONDS = 20
FILL_AGAIN_SECONDS = 0.2
PAGE_BYTES = 4096


class CannotMount(Exception):
    """This machine does not let us make a small file system; the message says what it takes."""


def disk_faults() -> list[Fault]:
    """Each disk is full for a while; to be inflicted on `running_on_small_disks`."""
    return [Fault("kafka's disk full", _kafka_full), Fault("clickhouse's disk full", _clickhouse_full)]


@asynccontextmanager
async def running_on_small_disks(folder: Path) -> AsyncIterator[Pipeline]:
    """The usual pipeline, its servers' data on small file systems.

    Raises:
        CannotMount: where this user may not mount.
    """
    with small_disk(folder / "kafka", KAFKA_MEGABYTES), small_disk(folder / "clickhouse", CLICKHOUSE_MEGABYTES):
        async with running_pipeline(folder) as pipeline:
            yield pipeline


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A file system of its own at this folder.

    Raises:
        CannotMount: where this user may not mount.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotMount(f"A full disk takes the program mount (Linux), which is not here: {error}") from error
    if mounted.returncode:
        raise CannotMount(
            f"A full disk takes the right to mount a tmpfs: run as root, in a container with --cap-add SYS_ADMIN.  "
            f"`{' '.join(command)}` said: {mounted.stderr.strip()}"
        )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@asynccontextmanager
async def full(folder: Path) -> AsyncIterator[None]:
    """Nothing more can be written to this folder's file system; what becomes free meanwhile is taken too."""
    filler = folder / "filler"
    filling = asyncio.create_task(_keep_full(filler))
    try:
        yield
    finally:
        filling.cancel()
        await asyncio.wait({filling})
        filler.unlink(missing_ok=True)


async def _keep_full(filler: Path) -> None:
    while True:
        _fill(filler)
        await asyncio.sleep(FILL_AGAIN_SECONDS)


def _fill(filler: Path) -> None:
    descriptor = os.open(filler, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for size in (1 << 20, PAGE_BYTES):
            with suppress(OSError):
                while os.write(descriptor, bytes(size)):
                    pass
    finally:
        os.close(descriptor)


async def _kafka_full(pipeline: Pipeline) -> None:
    """Senders are told 503, and nothing worse."""
    async with full(pipeline.folder / "kafka"):
        await grows(pipeline, lambda: answered(pipeline, "503"), "no request was answered with 503")
        await asyncio.sleep(FULL_SECONDS)
    if internal := await answered(pipeline, "500"):
        pipeline.broken.append(Violation("never a 500", f"{internal:.0f} answers while Kafka's disk was full"))


async def _clickhouse_full(pipeline: Pipeline) -> None:
    """The sink tries again; senders notice nothing."""
    async with full(pipeline.folder / "clickhouse"):
        await grows(pipeline, lambda: counted(pipeline, "sink", "eventsapi_insert_retries_total"), "no insert failed")
        await goes_on(pipeline, "clickhouse's disk full", FULL_SECONDS)
        await asyncio.sleep(FULL_SECONDS)
