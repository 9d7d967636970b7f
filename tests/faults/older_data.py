"""A start on the data of an older commit: its code leaves work half done, and today's code goes on from there.

`python -m tests.faults.older_data REVISION FOLDER` only makes such data, by the older commit's own `events up`.
"""

import argparse
import asyncio
import json
import os
import random
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.clickhouse.users import Role, ensure_users
from deploy.local.options import Layout
from deploy.local.plan import with_credentials, without_credentials
from schemas.settings import KafkaSettings
from tests.faults.faults import Fault
from tests.faults.ledger import Attempt, Ledger, Outcome
from tests.faults.load import Load, Team
from tests.faults.observe import lag, raw_records
from tests.faults.pipeline import Pipeline
from tests.faults.proxy import proxy
from tests.stack import free_ports

OLDEST = "099c3dd93545"
"""The first commit whose pipeline works from end to end; it moves to the oldest release that may be upgraded."""
ROOT = Path(__file__).parents[2]
TEAMS = ("acme", "globex")
LAUNCHERS_TEAM = "demo"
COMMAND_SECONDS = 150
LOAD_SECONDS = 6
BACKLOG_SECONDS = 4


class NoHistory(Exception):
    """The older commit is not in this clone; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Events:
    """The `events` command of some code, on one data folder."""

    code: Path
    data_dir: Path

    async def up(self) -> None:
        """Start all of it and wait until it is ready."""
        # The older commit may be of a time before the console.
        has_console = (self.code / "ingress" / "console").exists()
        ports = [port for port in free_ports() if has_console or not port.startswith("--console-port")]
        await self.run("up", "--detach", "--data-dir", str(self.data_dir), *ports)

    async def down(self) -> None:
        """Stop all of it."""
        await self.run("down", "--data-dir", str(self.data_dir))

    async def exports(self) -> dict[str, str]:
        """What `events env` says."""
        words = shlex.split(await self.run("env", "--data-dir", str(self.data_dir)))
        return dict(word.split("=", 1) for word in words if "=" in word)

    async def pids(self, names: Iterable[str]) -> list[int]:
        """The process ids of some processes."""
        status = json.loads(await self.run("status", "--json", "--data-dir", str(self.data_dir)))
        return [int(process["pid"]) for process in status["processes"] if process["name"] in names]

    async def team(self, slug: str) -> Team:
        """A new team with a token."""
        await self.run("team", "create", slug)
        return Team(slug, (await self.run("token", "create", slug)).strip())

    async def run(self, *arguments: str) -> str:
        """What one command prints.

        Raises:
            RuntimeError: it failed.
        """
        # -P and PYTHONPATH: this code's packages, not those of the checkout around it or of the environment.
        env = {**os.environ, "PYTHONPATH": str(self.code), "EVENTS_DATA_DIR": str(self.data_dir)}
        command = [sys.executable, "-P", "-m", "deploy.cli", *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, env=env, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
        )
        if done.returncode:
            raise RuntimeError(f"events {' '.join(arguments)} of {self.code}: {done.stdout}{done.stderr}")
        return done.stdout


def older_data_faults() -> list[Fault]:
    """To be inflicted on `running_on_older_data`, whose start is the fault."""

    async def inflict(_: Pipeline) -> None:
        """Nothing more."""

    return [Fault(f"start on the data of {OLDEST}", inflict)]


@asynccontextmanager
async def running_on_older_data(folder: Path, revision: str = OLDEST) -> AsyncIterator[Pipeline]:
    """Today's `events up` on what an older one left behind.

    Raises:
        NoHistory: this clone does not hold the older commit.
    """
    data_dir, ledger = folder / "data", Ledger()
    teams = await make(revision, folder, ledger)
    events = Events(ROOT, data_dir)
    await events.up()
    try:
        exported = await events.exports()
        async with proxy(int(exported["EVENTS_API_URL"].rpartition(":")[2])) as client:
            servers = _servers(exported, data_dir)
            pipeline = Pipeline(folder, {"client-ingress": client}, *servers, {}, teams, ledger=ledger)
            await _adopt(pipeline.kafka, ledger)
            yield pipeline
    finally:
        await events.down()


async def make(revision: str, folder: Path, ledger: Ledger) -> list[Team]:
    """Run an older commit's pipeline under load, and stop it with records that stream and sink have not finished."""
    code, data_dir = folder / "code", folder / "data"
    _check_out(revision, code)
    data_dir.mkdir(parents=True)
    events = Events(code, data_dir)
    await events.up()
    try:
        teams = [await events.team(slug) for slug in TEAMS]
        exported = await events.exports()
        kafka, _ = _servers(exported, data_dir)
        chance = random.Random(revision)  # noqa: S311 - a reproducible load
        # The older commit does not take batches.
        load = Load(exported["EVENTS_API_URL"], kafka, teams, ledger, chance, batch_senders_per_team=0)
        sending = asyncio.create_task(load.run())
        await asyncio.sleep(LOAD_SECONDS)
        # Halted processes do not hear that they should stop: the launcher kills them, wherever they stand.
        for pid in await events.pids({"stream", "sink"}):
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(BACKLOG_SECONDS)
        load.stopping.set()
        await sending
        if not all((await lag(kafka)).values()):
            raise RuntimeError(f"{revision} left nothing undone: {await lag(kafka)}")
    finally:
        await events.down()
    return teams


def _servers(exported: dict[str, str], data_dir: Path) -> tuple[KafkaSettings, str]:
    """Kafka, and ClickHouse as the sink's user."""
    password = ensure_users(Layout(data_dir).clickhouse_users).password(Role.SINK)
    clickhouse = with_credentials(without_credentials(exported["CLICKHOUSE_URL"]), Role.SINK.value, password)
    return KafkaSettings(kafka_bootstrap_servers=exported["KAFKA_BOOTSTRAP_SERVERS"]), clickhouse


async def _adopt(kafka: KafkaSettings, ledger: Ledger) -> None:
    """Note the events that the launchers sent to see their pipelines work."""
    for record in await raw_records(kafka):
        if record.key.startswith(f"{LAUNCHERS_TEAM}/"):
            ledger.note(Attempt(record.event_id, LAUNCHERS_TEAM, record.key, 0, record.sha256, Outcome.OK))


def _check_out(revision: str, code: Path) -> None:
    archive = subprocess.run(["git", "-C", ROOT, "archive", revision], capture_output=True, check=False)
    if archive.returncode:
        raise NoHistory(
            f"The code of {revision} is needed, and git does not give it: {archive.stderr.decode().strip()}.  "
            "Run this in a clone with its whole history: git fetch --unshallow"
        )
    code.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", code], input=archive.stdout, check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision")
    parser.add_argument("folder", type=Path, help="its `data` is then a data folder of `events up`")
    options = parser.parse_args()
    asyncio.run(make(options.revision, options.folder, Ledger()))
