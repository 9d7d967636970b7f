"""`make faults`: every fault under load, and the ledger held against what is stored; ends with 1 where a promise broke.

python -m tests.faults --seed 7 --only "SIGKILL sink"
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.run import TABLE_HEAD
from tests.faults.suite import Choice, run_all


def main() -> int:
    """Run what the command line names; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="of the load, the pairs and the last runs")
    parser.add_argument("--only", default="", help="faults whose name holds this, and no planted bugs")
    parser.add_argument("--away-seconds", type=float, default=600, help="how long servers are away for memory's sake")
    parser.add_argument("--folder", type=Path, help="where data and logs stay; default: a new temporary folder")
    parser.add_argument("--jobs", type=int, default=3, help="groups that run side by side")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="events-faults-"))
    print(f"seed {options.seed}, data and logs in {folder}\n\n{TABLE_HEAD}", flush=True)
    started = time.monotonic()
    kept = run_all(Choice(options.seed, options.only, options.away_seconds, folder), options.jobs)
    print(f"{(time.monotonic() - started) / 60:.0f} minutes", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
