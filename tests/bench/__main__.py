"""`make bench`: everything against its alternatives, in turn, three times; the figures go to docs/benchmarks.md.

python -m tests.bench                 all of it, about 15 minutes
python -m tests.bench stream sink     only these; their sections are replaced, the others stay
"""

import argparse
import asyncio
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import SecretStr

from deploy.local.clickhouse.users import Role
from schemas.settings import ClickHouseSettings, KafkaSettings
from tests.bench import freshness, ingress, memory, sink, stream
from tests.bench.figures import COMPARISON_HEAD
from tests.clickhouse_service import running_clickhouse
from tests.services import kafka_node, running_kafka
from tests.stack import running_stack

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
MANY_EVENTS = 1_000_000
PACKAGES = ("aiohttp", "aiokafka", "faust-streaming", "fastavro", "chdb-core", "clickhouse-connect")
HEAD = """# Benchmarks

`make bench` writes this page.  A ratio compares ours with the alternative in the same run, on the same Kafka and
ClickHouse, in turn, three times; figures are minimum / median / maximum.  Broker, ClickHouse and load generator share
the machine, so compare ratios, not rates.
"""


async def ingress_section(folder: Path) -> str:
    """The ingress with two workers against the peer: Benthos in Go, which checks neither token nor event."""
    node = kafka_node(folder / "kafka")
    with running_kafka(node):
        compared = await ingress.compare_ingress(node.bootstrap_servers)
    return "\n".join([COMPARISON_HEAD, *(row for load in compared for row in load.rows())])


async def stream_section(folder: Path) -> str:
    """The stream against a plain aiokafka loop and against stock Faust."""
    node = kafka_node(folder / "kafka")
    with running_kafka(node):
        compared = await stream.compare_stream(node.bootstrap_servers)
    return "\n".join([COMPARISON_HEAD, *(comparison.row() for comparison in compared)])


async def sink_section(folder: Path) -> str:
    """The sink against ClickHouse alone and against decoding in Python."""
    node = kafka_node(folder / "kafka")
    with running_kafka(node), running_clickhouse(folder / "clickhouse") as endpoint:
        kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
        url = SecretStr(endpoint.url(Role.SINK))
        compared = await sink.measure(kafka, ClickHouseSettings(clickhouse_url=url))
    return f"{COMPARISON_HEAD}\n{compared.clickhouse_alone.row()}\n{compared.decode_and_insert.row()}"


async def freshness_section(folder: Path) -> str:
    """From POST to queryable, at a steady rate."""
    rows = []
    with running_stack(folder) as stack:
        for _ in range(3):
            seen = await freshness.measure(stack)
            rows.append(f"| {seen.events:,} | {seen.p50:.2f} s | {seen.p99:.2f} s | {seen.longest:.2f} s |")
    head = ["500 events/s through the public API; aim: p99 below 2 s.", "", "| events | p50 | p99 | longest |"]
    return "\n".join([*head, "|---|---|---|---|", *rows])


async def typed_tables_section(folder: Path) -> str:
    """From POST to queryable with 50 typed tables at once, and what they cost ClickHouse."""
    rows = []
    with running_stack(folder) as stack:
        await freshness.make_typed_tables(stack)
        for _ in range(3):
            typed = await freshness.measure_typed(stack)
            seen = typed.freshness
            times = f"{seen.p50:.2f} s | {seen.p99:.2f} s | {seen.longest:.2f} s"
            rows.append(f"| {seen.events:,} | {times} | {typed.inserts:.1f} |")
    aim = f"500 events/s of {freshness.TYPED_TABLES} names in turn; aim: p99 below 5 s, at most 2 inserts/s per table."
    head = [aim, "", "| events | p50 | p99 | longest | inserts/s of the busiest table |"]
    return "\n".join([*head, "|---|---|---|---|---|", *rows])


async def memory_section(folder: Path) -> str:
    """Resident memory of each process, and how long a start takes."""
    with running_stack(folder / "data") as stack:
        idle = await memory.after_events(stack, 1_000)
        after = await memory.after_events(stack, MANY_EVENTS)
        backlog = await memory.with_backlog(stack, MANY_EVENTS)
    started = time.perf_counter()
    with running_stack(folder / "data"):
        seconds = time.perf_counter() - started
    head = f"| process | after 1,000 events | after {MANY_EVENTS:,} | most with a backlog of {MANY_EVENTS:,} |"
    rows = [f"| {name} | {idle[name]:.0f} MB | {after[name]:.0f} MB | {backlog[name]:.0f} MB |" for name in idle]
    sums = " | ".join(f"{sum(column.values()):.0f} MB" for column in (idle, after, backlog))
    start = f"`events up` was ready after {seconds:.1f} s, with packages, jars and these events there."
    return "\n".join([head, "|---|---|---|---|", *rows, f"| all | {sums} |", "", start])


SECTIONS: dict[str, Callable[[Path], Awaitable[str]]] = {
    "ingress": ingress_section,
    "stream": stream_section,
    "sink": sink_section,
    "freshness": freshness_section,
    "tables": typed_tables_section,
    "memory": memory_section,
}


def machine() -> str:
    """One line on what the figures were measured on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    processor = found[1] if found else platform.processor()
    disk = subprocess.run(
        ["stat", "--file-system", "--format", "%T", tempfile.gettempdir()], capture_output=True, text=True, check=True
    ).stdout.strip()
    hardware = f"{os.cpu_count()} cores ({processor}), {gigabytes:.0f} GiB, data on {disk}"
    return f"{hardware}; {interpreter()}, {packages}"


def interpreter() -> str:
    """Which Python, and of which build: without profile-guided optimisation, plain Python takes 1.4 times as long."""
    build = "of the system"  # distributions optimise theirs, in ways that it does not tell
    if sys.base_prefix != "/usr":
        optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
        build = f"built {'with' if optimised else 'without'} --enable-optimizations"
    return f"Python {platform.python_version()} {build}"


def write(name: str, text: str) -> None:
    """Replace one section of the page."""
    page = PAGE.read_text("utf-8") if PAGE.exists() else HEAD
    measured = f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}."
    section = f"\n## {name.capitalize()}\n\n{SECTIONS[name].__doc__}\n\n{text}\n\n{measured}\n"
    page = re.sub(rf"\n## {name.capitalize()}\n.*?(?=\n## |\Z)", "", page, flags=re.DOTALL)
    PAGE.write_text(page + section, "utf-8")


def main() -> None:
    """Measure the sections that the command line names, all by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Writes docs/benchmarks.md.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default: all")
    wanted = parser.parse_args().sections or list(SECTIONS)
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(unknown)}")
    for name in wanted:
        print(f"measuring {name} …", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="events-bench-") as folder:
            text = asyncio.run(_measure(name, Path(folder)))
        print(text)
        write(name, text)


async def _measure(name: str, folder: Path) -> str:
    return await SECTIONS[name](folder)


if __name__ == "__main__":
    main()
