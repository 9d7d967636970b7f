"""A part of `make faults`, short enough for every `make test`: the faults that found most."""

from collections.abc import AsyncIterator

import pytest

from tests.faults.faults import NO_FAULT, deaths, link_faults, process_faults
from tests.faults.pipeline import running_pipeline
from tests.faults.run import Runner

FAULTS = {fault.name: fault for fault in [NO_FAULT, *process_faults(), *deaths(), *link_faults()]}
CHOSEN = (
    "no fault",
    "SIGKILL kafka",
    "SIGKILL stream",
    "takeover sink",
    "late insert of a killed sink",
    "stream dies before Consumer.finish",
    "sink dies after Writer.insert",
    "answers cut sink-clickhouse",
    "answers cut ingress-kafka",
)


@pytest.fixture(scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runner]:
    """Runs on one pipeline."""
    async with running_pipeline(tmp_path_factory.mktemp("faults")) as pipeline:
        yield Runner(pipeline, seed=1)


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.timeout(240)
async def test_events_when_a_fault_strikes(runner: Runner, name: str) -> None:
    """Every promise of docs/guarantees.md holds under this fault."""
    result = await runner.run(FAULTS[name])

    assert result.violations == []
    assert result.acknowledged > 0
