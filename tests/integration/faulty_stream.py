"""The stream with a fault built in: `python -m tests.integration.faulty_stream FAULT`."""

import asyncio
import sys
from collections.abc import Sequence
from typing import NoReturn

import stream.agents
import stream.app
import stream.producer
from schemas.schema_log import SchemaLog
from stream.__main__ import main
from stream.normalize import NormalizedRun, normalize_run
from stream.producer import Producer
from stream.records import RawRecord, Record
from stream.writers import Writers

GOOD_RUNS = 3
HANGING_PARTITION = 0
SLOW_SECONDS = 0.15
# Joining the group takes about a second.
LATE_SECONDS = 6

_runs = 0


def _agent_raises(records: Sequence[RawRecord], writers: Writers) -> NormalizedRun:
    """A bug: the fourth run is one that the code cannot handle."""
    global _runs  # noqa: PLW0603 - one counter of one process
    _runs += 1
    if _runs > GOOD_RUNS:
        raise ZeroDivisionError("a bug in the agent")
    return normalize_run(records, writers)


class _HangingProducer(Producer):
    """Kafka never acknowledges the first run of one partition."""

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        if partition == HANGING_PARTITION:
            await asyncio.Event().wait()
        await super().send(topic, partition, records)


class _SlowProducer(Producer):
    """The records are long on their way, and so are their acknowledgements."""

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        await asyncio.sleep(SLOW_SECONDS)
        await super().send(topic, partition, records)
        await asyncio.sleep(SLOW_SECONDS)


class _LateSchemas(SchemaLog):
    """What is registered comes long after the first record could."""

    async def follow(self) -> NoReturn:
        await asyncio.sleep(LATE_SECONDS)
        await super().follow()


class _SlowSchemas(SchemaLog):
    """After each fetch it takes a while until all that is registered is known."""

    async def caught_up(self) -> None:
        await super().caught_up()
        await asyncio.sleep(SLOW_SECONDS)


FAULTS = {
    "agent_raises": (stream.agents, "normalize_run", _agent_raises),
    "first_run_hangs": (stream.producer, "Producer", _HangingProducer),
    "late_schemas": (stream.app, "SchemaLog", _LateSchemas),
    "slow_schemas": (stream.app, "SchemaLog", _SlowSchemas),
    "slow_kafka": (stream.producer, "Producer", _SlowProducer),
}

if __name__ == "__main__":
    _module, _name, _fault = FAULTS[sys.argv[1]]
    vars(_module)[_name] = _fault
    sys.exit(main())
