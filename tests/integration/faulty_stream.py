"""The stream with a fault built in: `python -m tests.integration.faulty_stream agent_raises|first_run_hangs`."""

import asyncio
import sys
from collections.abc import Sequence

import stream.agents
import stream.producer
from stream.__main__ import main
from stream.normalize import NormalizedRun, RawRecord, Record, normalize_run
from stream.producer import Producer

GOOD_RUNS = 3
HANGING_PARTITION = 0

_runs = 0


def _agent_raises(records: Sequence[RawRecord]) -> NormalizedRun:
    """A bug: the fourth run is one that the code cannot handle."""
    global _runs  # noqa: PLW0603 - one counter of one process
    _runs += 1
    if _runs > GOOD_RUNS:
        raise ZeroDivisionError("a bug in the agent")
    return normalize_run(records)


class _HangingProducer(Producer):
    """Kafka never acknowledges the first run of one partition."""

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        if partition == HANGING_PARTITION:
            await asyncio.Event().wait()
        await super().send(topic, partition, records)


if __name__ == "__main__":
    if sys.argv[1] == "agent_raises":
        vars(stream.agents)["normalize_run"] = _agent_raises
    else:
        vars(stream.producer)["Producer"] = _HangingProducer
    sys.exit(main())
