"""All faults singly, then in pairs, then by seed, then bugs on purpose, each of which the suite must find.

Groups of faults run side by side, each in a process and on a pipeline of its own.
"""

import asyncio
import logging
import multiprocessing
import random
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from tests.faults.faults import NO_FAULT, deaths, link_faults, process_faults, together
from tests.faults.groups import Group, special_groups
from tests.faults.pipeline import running_pipeline
from tests.faults.planted import FINDERS, PLANTED_BUG
from tests.faults.run import Result, Runner

RUNS_PER_PIPELINE = 12
PAIRS = 8
SEEDED = 8
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line names; the same choice gives the same plan in every process.

    Attributes:
        only: faults whose name holds these words.
        away_seconds: how long servers are away where memory is watched.
        folder: where data and logs stay.
    """

    seed: int
    only: str
    away_seconds: float
    folder: Path


def plan(choice: Choice) -> list[Group]:
    """The runs, in groups that share one pipeline; those that take longest come first."""
    return [group for group in _only(_plan(choice), choice.only) if group.faults]


def _plan(choice: Choice) -> Iterator[Group]:
    processes, links = process_faults() + deaths(), link_faults()
    singles = processes + links
    yield from special_groups(choice.away_seconds)
    catalog = [NO_FAULT, *singles]
    for start in range(0, len(catalog), RUNS_PER_PIPELINE):
        yield Group(running_pipeline, catalog[start : start + RUNS_PER_PIPELINE])
    chance = random.Random(choice.seed)  # noqa: S311 - a reproducible choice
    yield Group(running_pipeline, [together(chance.choice(processes), chance.choice(links)) for _ in range(PAIRS)])
    yield Group(running_pipeline, [chance.choice(singles) for _ in range(SEEDED)])


def _only(groups: Iterable[Group], words: str) -> Iterator[Group]:
    for group in groups:
        yield replace(group, faults=[fault for fault in group.faults if words in fault.name])


def run_group(choice: Choice, number: int) -> list[Result]:
    """All runs of one group of the plan; each result is printed as it comes."""
    # Clients tell of broken connections, which is what we do to them.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with told_in_words():
        return asyncio.run(_run_group(plan(choice)[number], choice.seed, choice.folder / f"{number}"))


async def _run_group(group: Group, seed: int, folder: Path) -> list[Result]:
    results = []
    async with group.running(folder) as pipeline:
        runner = Runner(pipeline, seed)
        for fault in group.faults:
            result = await runner.run(fault)
            lines = [result.row(), *(f"    {found.rule}: {found.where}" for found in result.violations[:10])]
            print("\n".join(lines), flush=True)
            results.append(result)
    return results


def run_planted(choice: Choice, bug: str) -> bool:
    """One planted bug under the fault that must bring it to light; whether it was found."""
    with told_in_words():
        return asyncio.run(_run_planted(bug, choice.seed, choice.folder / f"planted-{bug.replace(' ', '-')}"))


@contextmanager
def told_in_words() -> Iterator[None]:
    """Raise what another process can unpickle: what it cannot breaks the pool, and ends all other groups."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - handed on
        raise RuntimeError("".join(traceback.format_exception(error))) from None


async def _run_planted(bug: str, seed: int, folder: Path) -> bool:
    finder = FINDERS[bug]
    (fault,) = (fault for fault in process_faults() + deaths() if finder == fault.name)
    async with running_pipeline(folder, {PLANTED_BUG: bug}) as pipeline:
        result = await Runner(pipeline, seed).run(fault)
    broken = sorted({violation.rule for violation in result.violations})
    print(f"planted: {bug}, under {finder}: {', '.join(broken) or 'NOT FOUND'}", flush=True)
    return bool(broken)


def run_all(choice: Choice, jobs: int) -> bool:
    """Everything, so many groups side by side; whether every promise was kept and every planted bug found."""
    # Not forked: a child would inherit event loops and locks.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        groups = [pool.submit(run_group, choice, number) for number in range(len(plan(choice)))]
        planted = [] if choice.only else [pool.submit(run_planted, choice, bug) for bug in FINDERS]
        ended: Iterator[Future[Any]] = as_completed([*groups, *planted])
        for future in ended:
            if error := future.exception():
                print(f"a group ended early: {error}", flush=True)
    results = [result for future in groups for result in _result(future, [])]
    violations = sum(len(result.violations) for result in results)
    acknowledged = sum(result.acknowledged for result in results)
    print(f"\n{len(results)} runs, {acknowledged:,} events acknowledged, {violations} violations")
    whole = all(future.exception() is None for future in groups)
    return whole and bool(results) and not violations and all(_result(future, default=False) for future in planted)


def _result(future: "Future[T]", default: T) -> T:
    return default if future.exception() else future.result()
