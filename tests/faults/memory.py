"""Memory with Kafka or ClickHouse away under load: it fills what the settings allow, and stays there.

The bounds are set so low that the first quarter of the absence fills them; what grows after that, grows for ever.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.clickhouse_service import resident_bytes
from tests.faults.checker import Violation
from tests.faults.faults import Fault
from tests.faults.load import Load
from tests.faults.pipeline import Pipeline, running_pipeline
from tests.faults.progress import counted

MEBIBYTE = 1 << 20
BOUNDS = {
    "INGRESS_MAX_PENDING_BYTES": str(4 * MEBIBYTE),
    # What was answered with 503 still waits for Kafka, so a short deadline lets senders fill it soon.
    "INGRESS_DEADLINE_SECONDS": "1",
    "SINK_MAX_BATCH_BYTES": str(MEBIBYTE),
}
PENDING, BUFFERED = "eventsapi_producer_pending_bytes", "eventsapi_buffered_bytes"
FULL_BYTES = 3 * MEBIBYTE
PROCESSES = ("ingress", "stream", "sink")
SAMPLE_SECONDS = 0.25
SENDERS_PER_TEAM = 48
# A process may keep what a peak took: fragments of its heap, buffers of reconnecting clients.
GROWTH_SHARE, GROWTH_BYTES = 1.15, 32 * MEBIBYTE
# And between two spans of one level, a pause of the garbage collector.
FLAT_SHARE, FLAT_BYTES = 1.05, 8 * MEBIBYTE


def memory_faults(seconds: float) -> list[Fault]:
    """Each server is away for so long, half of it silent, half refusing; for `running_within_bounds`."""
    return [
        _away("kafka", ("ingress-kafka", "stream-kafka", "sink-kafka"), ("ingress", PENDING), seconds),
        _away("clickhouse", ("sink-clickhouse",), ("sink", BUFFERED), seconds),
    ]


@asynccontextmanager
async def running_within_bounds(folder: Path) -> AsyncIterator[Pipeline]:
    """The usual pipeline, its buffers small."""
    async with running_pipeline(folder, BOUNDS) as pipeline:
        yield pipeline


def unbounded(samples: Sequence[int]) -> str | None:
    """What is wrong with a series of resident sizes in bytes, taken at even intervals; None where it is bounded."""
    quarter = len(samples) // 4
    first, middle, last = max(samples[:quarter]), max(samples[quarter:-quarter]), max(samples[-quarter:])
    sizes = " → ".join(f"{size / MEBIBYTE:.0f}" for size in (first, middle, last)) + " MiB"
    if max(middle, last) > first * GROWTH_SHARE + GROWTH_BYTES:
        return f"{sizes}: it outgrew its first quarter"
    if last > max(first, middle) * FLAT_SHARE + FLAT_BYTES:
        return f"{sizes}: it still grows at the end"
    return None


def _away(server: str, links: Sequence[str], buffer: tuple[str, str], seconds: float) -> Fault:
    async def inflict(pipeline: Pipeline) -> None:
        load = _pressure(pipeline)
        sending = asyncio.create_task(load.run())
        sampling = asyncio.create_task(_sample(pipeline, seconds))
        for link in links:
            pipeline.links[link].partition()
        await asyncio.sleep(seconds / 2)
        filled = await counted(pipeline, *buffer)
        for link in links:
            pipeline.links[link].heal()
            pipeline.links[link].refuse = True
        samples = await sampling
        for link in links:
            pipeline.links[link].heal()
        load.stopping.set()
        await sending
        _judge(pipeline, server, samples)
        if filled < FULL_BYTES:
            pipeline.broken.append(Violation("the buffers are filled", f"{server} away: {filled:.0f} bytes"))

    return Fault(f"{server} away {seconds:.0f} s, memory", inflict)


def _pressure(pipeline: Pipeline) -> Load:
    chance = random.Random(len(pipeline.ledger.attempts))  # noqa: S311 - a reproducible load
    return Load(
        pipeline.api_url,
        pipeline.kafka,
        pipeline.teams,
        pipeline.ledger,
        chance,
        senders_per_team=SENDERS_PER_TEAM,
        pause_seconds=0.3,
        noise_bytes=24_000,
    )


async def _sample(pipeline: Pipeline, seconds: float) -> dict[str, list[int]]:
    samples: dict[str, list[int]] = {name: [] for name in PROCESSES}
    for _ in range(int(seconds / SAMPLE_SECONDS)):
        for name in PROCESSES:
            birth = pipeline.children[name].status.birth
            with suppress(FileNotFoundError, ProcessLookupError):
                if birth is not None:
                    samples[name].append(resident_bytes(birth.pid))
        await asyncio.sleep(SAMPLE_SECONDS)
    return samples


def _judge(pipeline: Pipeline, server: str, samples: dict[str, list[int]]) -> None:
    (pipeline.folder / f"memory-{server}-away.json").write_text(json.dumps(samples), "utf-8")
    for name, sizes in samples.items():
        if wrong := unbounded(sizes):
            pipeline.broken.append(Violation("memory stays bounded", f"{name}, {server} away: {wrong}"))
