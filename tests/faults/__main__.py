"""`make faults`: all faults singly, then in pairs, then by seed; ends with 1 where any promise was broken.

At last some bugs are planted, and the suite must find each.

python -m tests.faults --seed 7 --only "SIGKILL sink"
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.faults.faults import deaths, link_faults, process_faults, together
from tests.faults.groups import Group, special_groups
from tests.faults.pipeline import running_pipeline
from tests.faults.planted import FINDERS, PLANTED_BUG
from tests.faults.run import TABLE_HEAD, Result, Runner

RUNS_PER_PIPELINE = 12
PAIRS = 8
SEEDED = 8


def plan(seed: int, away_seconds: float) -> Iterator[Group]:
    """The runs, in groups that share one pipeline."""
    processes, links = process_faults() + deaths(), link_faults()
    singles = processes + links
    for start in range(0, len(singles), RUNS_PER_PIPELINE):
        yield Group(running_pipeline, singles[start : start + RUNS_PER_PIPELINE])
    yield from special_groups(away_seconds)
    chance = random.Random(seed)  # noqa: S311 - a reproducible choice
    yield Group(running_pipeline, [together(chance.choice(processes), chance.choice(links)) for _ in range(PAIRS)])
    yield Group(running_pipeline, [chance.choice(singles) for _ in range(SEEDED)])


def only(groups: Iterable[Group], words: str) -> Iterator[Group]:
    """What is left of the groups when only faults whose name holds these words are run."""
    for group in groups:
        if faults := [fault for fault in group.faults if words in fault.name]:
            yield replace(group, faults=faults)


async def run_group(group: Group, seed: int, folder: Path) -> list[Result]:
    """Some runs on one pipeline; each result is printed as it comes."""
    results = []
    async with group.running(folder) as pipeline:
        runner = Runner(pipeline, seed)
        for fault in group.faults:
            result = await runner.run(fault)
            print(result.row(), flush=True)
            for violation in result.violations[:10]:
                print(f"    {violation.rule}: {violation.where}", flush=True)
            results.append(result)
    return results


async def run_planted(seed: int, folder: Path) -> list[str]:
    """Each planted bug under the fault that must bring it to light; returns those that nobody noticed."""
    unnoticed = []
    for number, (bug, finder) in enumerate(FINDERS.items()):
        (fault,) = (fault for fault in process_faults() + deaths() if finder == fault.name)
        async with running_pipeline(folder / f"planted-{number}", {PLANTED_BUG: bug}) as pipeline:
            result = await Runner(pipeline, seed).run(fault)
        broken = sorted({violation.rule for violation in result.violations})
        print(f"planted: {bug}, under {finder}: {', '.join(broken) or 'NOT FOUND'}", flush=True)
        if not broken:
            unnoticed.append(bug)
    return unnoticed


async def main() -> int:
    """Run what the command line names; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="of the load, the pairs and the last runs")
    parser.add_argument("--only", default="", help="faults whose name holds this, and no planted bugs")
    parser.add_argument("--away-seconds", type=float, default=600, help="how long servers are away for memory's sake")
    parser.add_argument("--folder", type=Path, help="where data and logs stay; default: a new temporary folder")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="events-faults-"))
    print(f"seed {options.seed}, data and logs in {folder}\n\n{TABLE_HEAD}", flush=True)
    results: list[Result] = []
    for number, group in enumerate(only(plan(options.seed, options.away_seconds), options.only)):
        results += await run_group(group, options.seed, folder / str(number))
    violations = sum(len(result.violations) for result in results)
    acknowledged = sum(result.acknowledged for result in results)
    print(f"\n{len(results)} runs, {acknowledged:,} events acknowledged, {violations} violations")
    unnoticed = [] if options.only else await run_planted(options.seed, folder)
    return 1 if violations or unnoticed or not results else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
