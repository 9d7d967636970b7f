"""A pipeline for fault runs: every process under the launcher's own supervision, every link through a proxy.

    client ─▶ ingress ─▶ kafka ◀─ stream        kafka ◀─ sink ─▶ clickhouse

Each client of Kafka has a listener of its own that advertises its proxy's port, so no connection goes around a proxy.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from deploy.local import backoff
from deploy.local.child import Child
from deploy.local.clickhouse.users import Role, ensure_users
from deploy.local.jars import cache_folder, fetch, locked_jars
from deploy.local.kafka import KafkaNode
from deploy.local.logs import LogFile
from deploy.local.plan import ProcessSpec, with_credentials
from deploy.local.reports import Report
from deploy.topics import create_topics
from ingress.accounts.database import migrate
from ingress.accounts.store import open_accounts
from schemas.registered import Registered, Version
from schemas.settings import ClickHouseSettings, KafkaSettings
from sink.tables import Tables
from sink.writer import Writer
from tests.accounts import ACTOR
from tests.faults import mortal
from tests.faults.checker import Violation
from tests.faults.ledger import Ledger
from tests.faults.load import Team
from tests.faults.proxy import Proxy, proxy
from tests.faults.schemas import SCHEMAS, register
from tests.services import PARTITIONS, free_port

STOP_SECONDS = 15
LINKS = ("client-ingress", "ingress-kafka", "stream-kafka", "sink-kafka", "sink-clickhouse")
START_ORDER = ("kafka", "clickhouse", "ingress", "stream", "sink")
COPIES = {"ingress": 1, "stream": 3, "sink": 3}
"""The most that may be started of each; the first copy bears the plain name, the others `sink-1`, `sink-2`."""


@dataclass
class Pipeline:
    """A running pipeline and the handles to hurt it.

    Attributes:
        links: the proxy of each link, by its name in LINKS.
        kafka: straight to Kafka, around all proxies: for observing.
        clickhouse_url: straight to ClickHouse, as the sink's user.
        schemas: those that are registered for events of the load.
        ledger: what all runs sent to it.
        starts: how often a copy of each kind of process was started by us.
        broken: what a fault itself saw broken; the run that inflicted it takes it.
        ingress_repeats: whether an ingress with records in its spill was killed, so that it sends some of them again.
    """

    folder: Path
    links: Mapping[str, Proxy]
    kafka: KafkaSettings
    clickhouse_url: str
    specs: Mapping[str, ProcessSpec]
    teams: list[Team] = field(default_factory=list)
    schemas: list[Version] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    broken: list[Violation] = field(default_factory=list)
    ingress_repeats: bool = False
    children: dict[str, Child] = field(default_factory=dict)
    starts: Counter[str] = field(default_factory=Counter)

    @property
    def api_url(self) -> str:
        """Where producers send."""
        return f"http://127.0.0.1:{self.links['client-ingress'].port}"

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process was started again."""
        return {name: child.status.restarts for name, child in self.children.items()}

    async def start(self, name: str) -> None:
        """Start a process and wait until it is ready; from then on it is kept alive."""
        child = Child(self.specs[name], LogFile(self.folder / f"{name}.log"), _Silent(), lambda: None)
        self.children[name] = child
        self.starts[_kind(name)] += 1
        await child.start()

    async def stop(self, name: str) -> None:
        """Stop a process for good."""
        self.send(name, signal.SIGCONT)
        await self.children.pop(name).stop(STOP_SECONDS)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the process that bears this name at the moment."""
        birth = self.children[name].status.birth
        if birth is not None:
            with suppress(ProcessLookupError):
                os.kill(birth.pid, number)


class _Silent:
    """Restarts are expected here; the log files tell them."""

    def report(self, report: Report) -> None:
        """Say nothing."""


@asynccontextmanager
async def running_pipeline(folder: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[Pipeline]:
    """Start everything with one copy each; `env` is added to the environment of our own processes."""
    # Deaths are our doing here: a process that lived a little while is started again at once.
    backoff.CALM_SECONDS = 2.0
    servers = {name: free_port() for name in LINKS}
    async with AsyncExitStack() as stack:
        links = {name: await stack.enter_async_context(proxy(servers[name])) for name in LINKS}
        pipeline = _pipeline(folder, servers, links, env or {})
        try:
            for name in START_ORDER:
                if name == "ingress":
                    await create_topics(pipeline.kafka, PARTITIONS)
                    pipeline.teams = await make_teams(folder)
                    await make_tables(pipeline)
                await pipeline.start(name)
            yield pipeline
        finally:
            for link in links.values():
                link.heal()
            for name in sorted(pipeline.children, key=_start_place, reverse=True):
                await pipeline.stop(name)


async def make_tables(pipeline: Pipeline) -> None:
    """Register the schemas, and make all tables so that parts stay as inserted.

    A merge would take double rows away before they are counted.
    """
    warehouse = ClickHouseSettings(clickhouse_url=SecretStr(pipeline.clickhouse_url))
    limits = (
        "max_bytes_to_merge_at_max_space_in_pool = 1, parts_to_delay_insert = 100000, parts_to_throw_insert = 100000"
    )
    async with Writer(warehouse, timeout_seconds=30) as writer:
        registered = Registered()
        for version in SCHEMAS:
            registered.apply(version, 0)
        tables = Tables(writer, warehouse.clickhouse_database, registered)
        await tables.ensure()
        await writer.execute(f"ALTER TABLE {warehouse.clickhouse_database}.events MODIFY SETTING {limits}")
        await register(pipeline.kafka, tables, writer, limits)
    pipeline.schemas = SCHEMAS


def _start_place(name: str) -> int:
    return START_ORDER.index(_kind(name))


def _kind(name: str) -> str:
    """What a copy is a copy of."""
    return name.split("-", maxsplit=1)[0]


def _pipeline(folder: Path, servers: dict[str, int], links: dict[str, Proxy], env: Mapping[str, str]) -> Pipeline:
    folder.mkdir(parents=True, exist_ok=True)
    jars = tuple(fetch(locked_jars(), cache_folder()))
    forwarded = {servers[name]: links[name].port for name in LINKS if name.endswith("-kafka")}
    node = KafkaNode(jars, folder / "kafka", free_port(), free_port(), forwarded=forwarded)
    password = ensure_users(folder / "users.json").password(Role.SINK)
    direct, through = (
        with_credentials(f"http://127.0.0.1:{port}", Role.SINK.value, password)
        for port in (servers["sink-clickhouse"], links["sink-clickhouse"].port)
    )
    own = {
        "ingress": {"ACCOUNTS_URL": accounts_url(folder), "INGRESS_PORT": str(servers["client-ingress"])},
        # Over the limit, what becomes of an event depends on those before it, and may be another thing after a crash.
        "stream": {"STREAM_DEAD_LETTER_SHARE": "1"},
        "sink": {"CLICKHOUSE_URL": through},
    }
    probe = f"kafka://{node.bootstrap_servers}"
    specs = {
        "kafka": ProcessSpec("kafka", tuple(node.prepare()), os.environ, "", probe, "", ready_seconds=60),
        "clickhouse": clickhouse_spec(folder, servers["sink-clickhouse"]),
    }
    for process, copies in COPIES.items():
        for name in [process, *(f"{process}-{copy}" for copy in range(1, copies))]:
            servers_env = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{links[f'{process}-kafka'].port}"}
            dying = {mortal.MORTAL_FILE: str(folder / f"{name}.dies")}
            specs[name] = process_spec(name, process, {**servers_env, **own[process], **dying, **env})
    return Pipeline(folder, links, KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers), direct, specs)


def process_spec(name: str, process: str, env: Mapping[str, str]) -> ProcessSpec:
    """One copy of ingress, stream or sink, under its name."""
    metrics = free_port()
    own = {f"{process.upper()}_METRICS_PORT": str(metrics), "LOG_FORMAT": "json"}
    module = "tests.faults.mortal" if process in mortal.CALLS else process
    return _python_spec((module, process), f"http://127.0.0.1:{metrics}/readyz", {**own, **env}, name)


def clickhouse_spec(folder: Path, port: int) -> ProcessSpec:
    """The embedded ClickHouse."""
    env = {
        "CLICKHOUSE_LOCAL_PORT": str(port),
        "CLICKHOUSE_LOCAL_DATA_DIR": str(folder / "clickhouse"),
        "CLICKHOUSE_LOCAL_USERS_FILE": str(folder / "users.json"),
    }
    return _python_spec(("deploy.local.clickhouse",), f"http://127.0.0.1:{port}/ping", env, "clickhouse")


def _python_spec(module: tuple[str, ...], probe: str, env: Mapping[str, str], name: str) -> ProcessSpec:
    return ProcessSpec(name, (sys.executable, "-m", *module), {**os.environ, **env}, "", probe, "")


def accounts_url(folder: Path) -> str:
    """The accounts database."""
    return f"sqlite:///{folder / 'accounts.db'}"


async def make_teams(folder: Path) -> list[Team]:
    """Two teams with a token each."""
    url = accounts_url(folder)
    await migrate(url)
    now = datetime.now(UTC)
    teams = []
    async with open_accounts(url) as accounts:
        for slug in ("acme", "globex"):
            await accounts.create_team(slug, now, ACTOR)
            secret, _ = await accounts.create_token(slug, "fault run", now, ACTOR)
            teams.append(Team(slug, secret))
    return teams
