"""Three brokers that hold each partition three times and acknowledge with two: any one of them may be away.

The rest of the pipeline is the usual one, except that it reaches the brokers without proxies between.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from deploy.local import backoff
from deploy.local.clickhouse.users import Role, ensure_users
from deploy.local.jars import cache_folder, fetch, locked_jars
from deploy.local.kafka import Cluster, KafkaNode
from deploy.local.plan import ProcessSpec, with_credentials
from deploy.topics import create_topics
from schemas.settings import KafkaSettings
from tests.faults import mortal
from tests.faults.faults import Fault
from tests.faults.pipeline import Pipeline, accounts_url, clickhouse_spec, make_tables, make_teams, process_spec
from tests.faults.progress import goes_on
from tests.faults.proxy import Proxy, proxy
from tests.services import PARTITIONS, eventually, free_port

BROKERS = (1, 2, 3)
MIN_INSYNC = 2
HEAP = ("-Xms128m", "-Xmx256m")
"""Three brokers fit where one of the usual size does."""
AWAY_SECONDS = 20
"""Kafka's controller gives up a silent broker after 9 s, and our clients give up a request after 10 s."""
FAILOVER_SECONDS = 40
WHOLE_SECONDS = 60
LINKS = ("client-ingress", "sink-clickhouse")


def cluster_faults() -> list[Fault]:
    """One broker is away, each in its own way; to be inflicted on `running_cluster`."""
    return [
        Fault("leader of a raw partition killed", _leader_killed),
        *(_halted(number) for number in BROKERS),
        Fault("brokers restarted one after the other", _rolling_restart),
    ]


@asynccontextmanager
async def running_cluster(folder: Path) -> AsyncIterator[Pipeline]:
    """Three brokers with the rest of the pipeline on them."""
    backoff.CALM_SECONDS = 2.0
    servers = {name: free_port() for name in LINKS}
    async with AsyncExitStack() as stack:
        links = {name: await stack.enter_async_context(proxy(servers[name])) for name in LINKS}
        pipeline = _pipeline(folder, servers, links)
        try:
            # A broker is ready only when most of the controllers are there.
            async with asyncio.TaskGroup() as tasks:
                for number in BROKERS:
                    tasks.create_task(pipeline.start(_name(number)))
            await create_topics(pipeline.kafka, PARTITIONS, replication=len(BROKERS), min_insync=MIN_INSYNC)
            pipeline.teams = await make_teams(folder)
            await pipeline.start("clickhouse")
            await make_tables(pipeline)
            for name in ("ingress", "stream", "sink"):
                await pipeline.start(name)
            yield pipeline
        finally:
            for name in ("sink", "stream", "ingress", "clickhouse"):
                if name in pipeline.children:
                    await pipeline.stop(name)
            async with asyncio.TaskGroup() as tasks:
                for name in list(pipeline.children):
                    tasks.create_task(pipeline.stop(name))


def _name(number: int) -> str:
    return f"kafka-{number}"


def _pipeline(folder: Path, servers: Mapping[str, int], links: Mapping[str, Proxy]) -> Pipeline:
    folder.mkdir(parents=True, exist_ok=True)
    nodes = _nodes(folder)
    bootstrap = ",".join(node.bootstrap_servers for node in nodes.values())
    password = ensure_users(folder / "users.json").password(Role.SINK)
    direct, through = (
        with_credentials(f"http://127.0.0.1:{port}", Role.SINK.value, password)
        for port in (servers["sink-clickhouse"], links["sink-clickhouse"].port)
    )
    own = {
        "ingress": {"ACCOUNTS_URL": accounts_url(folder), "INGRESS_PORT": str(servers["client-ingress"])},
        "stream": {},
        "sink": {"CLICKHOUSE_URL": through},
    }
    specs = {_name(number): _broker_spec(number, node) for number, node in nodes.items()}
    specs["clickhouse"] = clickhouse_spec(folder, servers["sink-clickhouse"])
    for name, env in own.items():
        shared = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, mortal.MORTAL_FILE: str(folder / f"{name}.dies")}
        specs[name] = process_spec(name, name, {**shared, **env})
    return Pipeline(folder, links, KafkaSettings(kafka_bootstrap_servers=bootstrap), direct, specs)


def _nodes(folder: Path) -> dict[int, KafkaNode]:
    jars = tuple(fetch(locked_jars(), cache_folder()))
    cluster = Cluster({number: free_port() for number in BROKERS})
    return {
        number: KafkaNode(jars, folder / _name(number), free_port(), controller, number=number, cluster=cluster)
        for number, controller in cluster.controllers.items()
    }


def _broker_spec(number: int, node: KafkaNode) -> ProcessSpec:
    probe = f"kafka://{node.bootstrap_servers}"
    java, *options = (word for word in node.prepare() if not word.startswith(("-Xms", "-Xmx")))
    return ProcessSpec(_name(number), (java, *HEAP, *options), os.environ, "", probe, "", ready_seconds=90)


async def _leader_killed(pipeline: Pipeline) -> None:
    """Kill it, keep it away, and bring it back."""
    name = _name(await _leader(pipeline))
    child = pipeline.children.pop(name)
    child.kill()
    await child.stop(1)
    await goes_on(pipeline, f"{name} killed", FAILOVER_SECONDS)
    await pipeline.start(name)
    await _whole(pipeline)


def _halted(number: int) -> Fault:
    name = _name(number)

    async def inflict(pipeline: Pipeline) -> None:
        pipeline.send(name, signal.SIGSTOP)
        away_until = time.monotonic() + AWAY_SECONDS
        await goes_on(pipeline, f"{name} halted", FAILOVER_SECONDS)
        await asyncio.sleep(max(0, away_until - time.monotonic()))
        pipeline.send(name, signal.SIGCONT)
        await _whole(pipeline)

    return Fault(f"SIGSTOP {name} {AWAY_SECONDS} s", inflict)


async def _rolling_restart(pipeline: Pipeline) -> None:
    for number in BROKERS:
        await pipeline.stop(_name(number))
        await goes_on(pipeline, f"{_name(number)} stopped", FAILOVER_SECONDS)
        await pipeline.start(_name(number))
        await _whole(pipeline)


async def _leader(pipeline: Pipeline, partition: int = 0) -> int:
    partitions = await _raw_partitions(pipeline)
    return next(int(found["leader"]) for found in partitions if found["partition"] == partition)


async def _whole(pipeline: Pipeline) -> None:
    """Wait until every copy is in step again: the next broker may go only then."""

    async def in_step() -> bool:
        return all(len(partition["isr"]) == len(BROKERS) for partition in await _raw_partitions(pipeline))

    await eventually(in_step, "all brokers hold all of the raw topic", WHOLE_SECONDS)


async def _raw_partitions(pipeline: Pipeline) -> list[dict[str, Any]]:
    admin = AIOKafkaAdminClient(**pipeline.kafka.kafka_options())
    try:
        await admin.start()
        topics = await admin.describe_topics([pipeline.kafka.topics.raw])
    finally:
        await admin.close()
    found: list[dict[str, Any]] = topics[0]["partitions"]
    return found
