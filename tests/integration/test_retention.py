"""`events team retention`: whose rows the embedded ClickHouse deletes, and what audit and sink make of that."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from schemas.registered import Registered
from schemas.settings import ClickHouseSettings, KafkaSettings
from schemas.topics import RECEIVED_AT, Headers
from sink.offsets import Note
from sink.retention import RetentionTable
from sink.tables import Tables
from sink.writer import WarehouseUnavailable, Writer
from tests import docs
from tests.integration.stream_harness import Broker, broker, stream
from tests.integration.test_audit import GOOD, raw_headers
from tests.services import eventually
from tests.sink import Warehouse, leave_open, running_sink
from tests.stack import EVENTS
from tests.typed import version

OLD_DAYS, YOUNG_DAYS = 40, 20
SHARED = ("events", "discards", "dead_letters")


@dataclass(frozen=True)
class Keeping:
    """A warehouse with two teams, and the command beside it."""

    clickhouse: ClickHouseSettings
    writer: Writer
    folder: Path
    acme: str
    globex: str

    @property
    def database(self) -> str:
        """The warehouse's name."""
        return self.clickhouse.clickhouse_database

    def run(
        self, *arguments: str, stdin: int = subprocess.DEVNULL, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `events`, by default with nobody to be asked."""
        env = {
            "ACCOUNTS_URL": f"sqlite:///{self.folder / 'accounts.db'}",
            "CLICKHOUSE_URL": self.clickhouse.clickhouse_url.get_secret_value(),
            "CLICKHOUSE_DATABASE": self.database,
        } | dict(more or {})
        command = [str(EVENTS), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=os.environ | env, capture_output=True, text=True, check=False,
            timeout=60, stdin=stdin,
        )  # fmt: skip

    def retention(self, team: str, *options: str) -> dict[str, Any]:
        """What the command prints, which must succeed."""
        done = self.run("team", "retention", team, "--json", *options)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    async def tables(self, *teams: str) -> None:
        """Make what the sink makes for these teams, each with a schema."""
        registered = Registered()
        ids = range(1_001, 1_001 + 2 * len(teams), 2)
        for team, writer_id in zip(teams, ids, strict=True):
            registered.apply(version(team, writer_id=writer_id), 0)
        await Tables(self.writer, self.database, registered).ensure(teams, ids)

    async def fill(self, team: str) -> None:
        """In every table one row of the team that is old, one that is young, and a dead letter without a receipt."""
        ago = f"now64(6) - toIntervalDay([{OLD_DAYS}, {YOUNG_DAYS}][number + 1])"
        event = f"SELECT generateUUIDv4(number) AS event_id, '{team}' AS team, 'e' AS event, now64(6) AS occurred_at"
        for table, columns in {
            "events": "event_id, team, event, occurred_at, received_at",
            "discards": "event_id, team, event, occurred_at, received_at",
            f"`{team}.purchased_an_item`": "event_id, occurred_at, received_at",
        }.items():
            rows = f"SELECT {columns} FROM ({event}, {ago} AS received_at FROM numbers(2))"
            await self.writer.execute(f"INSERT INTO {self.database}.{table} ({columns}) {rows}")
        letters = f"SELECT '{team}', rand(), {ago}, if(number = 0, NULL, {ago}) FROM numbers(2)"
        columns = "team, _offset, written_at, received_at"
        await self.writer.execute(f"INSERT INTO {self.database}.dead_letters ({columns}) {letters}")

    def counts(self, team: str) -> list[int]:
        """The rows of a team in every table that has any."""
        value = Warehouse(self.clickhouse).value
        shared = [value(f"SELECT count() FROM {self.database}.{table} WHERE team = '{team}'") for table in SHARED]
        return [*map(int, shared), int(value(f"SELECT count() FROM {self.database}.`{team}.purchased_an_item`"))]

    def ttl(self, table: str) -> str:
        """What ClickHouse has for a table, with all else of its definition."""
        named = f"database = '{self.database}' AND name = '{table}'"
        return Warehouse(self.clickhouse).value(f"SELECT engine_full FROM system.tables WHERE {named}")

    async def merged(self) -> None:
        """Merge every part of every table that the sink made."""
        for table in (*SHARED, f"`{self.acme}.purchased_an_item`", f"`{self.globex}.purchased_an_item`"):
            await self.writer.execute(f"OPTIMIZE TABLE {self.database}.{table} FINAL")


@pytest.fixture
async def keeping(clickhouse: ClickHouseSettings, tmp_path: Path) -> AsyncIterator[Keeping]:
    """Nothing is set, and no rows are there."""
    acme, globex = f"a{uuid4().hex[:12]}", f"g{uuid4().hex[:12]}"
    async with Writer(clickhouse, timeout_seconds=30) as writer:
        keeping = Keeping(clickhouse, writer, tmp_path, acme, globex)
        for team in (acme, globex):
            assert keeping.run("team", "create", team).returncode == 0
        yield keeping


async def test_rows_when_a_retention_is_set(keeping: Keeping) -> None:
    """ClickHouse deletes the team's old rows in every table by itself, and no other rows; set back, it deletes none."""
    acme, globex = keeping.acme, keeping.globex
    await keeping.tables(acme, globex)
    await keeping.fill(acme)
    await keeping.fill(globex)

    assert keeping.retention(acme, "--days=30", "--yes")["days"] == 30

    async def deleted() -> bool:
        return await asyncio.to_thread(keeping.counts, acme) == [1, 1, 1, 1]

    await eventually(deleted, "the old rows are gone", 90)
    await keeping.merged()
    assert (keeping.counts(acme), keeping.counts(globex)) == ([1] * 4, [2] * 4)
    left = Warehouse(keeping.clickhouse).value(f"SELECT dateDiff('day', received_at, now()) FROM {acme}.events")
    assert left == str(YOUNG_DAYS)

    assert keeping.retention(acme, "--forever")["days"] is None
    await keeping.fill(acme)
    await keeping.merged()
    assert keeping.counts(acme) == [3] * 4


async def test_table_when_it_is_made_later(keeping: Keeping) -> None:
    """A retention may be set before there is any table of the team; those that the sink makes then have it."""
    acme, globex = keeping.acme, keeping.globex
    keeping.retention(acme, "--days=30")

    await keeping.tables(acme, globex)
    await keeping.fill(acme)
    await keeping.fill(globex)
    await keeping.merged()

    assert (keeping.counts(acme), keeping.counts(globex)) == ([1] * 4, [2] * 4)


async def test_table_when_it_was_dropped(keeping: Keeping) -> None:
    """The one that the sink makes in its place has the retention."""
    await keeping.tables(keeping.acme, keeping.globex)
    keeping.retention(keeping.acme, "--days=30")
    await keeping.writer.execute(f"DROP TABLE {keeping.database}.events")

    await keeping.tables(keeping.acme, keeping.globex)

    assert keeping.acme in keeping.ttl("events")


class Interrupted(Writer):
    """A way into ClickHouse on which something else happens before the first change of a TTL."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def execute(self, statement: str) -> None:
        """Run it, and what comes between."""
        if self.meanwhile is not None and "MODIFY TTL" in statement:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        await super().execute(statement)


async def test_table_when_clickhouse_goes_away(keeping: Keeping) -> None:
    """A sink that could not give a table its retention does so when ClickHouse is back."""
    await keeping.tables(keeping.acme)
    await RetentionTable(keeping.writer, keeping.database).set(keeping.acme, 30)

    async def away() -> None:
        raise WarehouseUnavailable("connection", "it is away")

    async with Interrupted(keeping.clickhouse, timeout_seconds=30) as interrupted:
        interrupted.meanwhile = away
        tables = Tables(interrupted, keeping.database)
        with pytest.raises(WarehouseUnavailable):
            await tables.ensure()
        await tables.ensure()

    assert all(keeping.acme in keeping.ttl(table) for table in SHARED)


async def test_retention_when_two_are_set_at_once(keeping: Keeping) -> None:
    """Neither undoes the other; and to set one again changes no table."""
    await keeping.tables(keeping.acme, keeping.globex)
    one = RetentionTable(keeping.writer, keeping.database)
    await one.set(keeping.acme, 30)

    async def meanwhile() -> None:
        await one.set(keeping.globex, 15)
        await one.apply()

    async with Interrupted(keeping.clickhouse, timeout_seconds=30) as interrupted:
        interrupted.meanwhile = meanwhile
        await RetentionTable(interrupted, keeping.database).apply()

    for table in SHARED:
        assert all(team in keeping.ttl(table) for team in (keeping.acme, keeping.globex))
    mutations = f"SELECT count() FROM system.mutations WHERE database = '{keeping.database}'"
    before = Warehouse(keeping.clickhouse).value(mutations)
    keeping.retention(keeping.acme, "--days=30")
    assert Warehouse(keeping.clickhouse).value(mutations) == before


async def test_sink_when_a_table_cannot_follow(keeping: Keeping) -> None:
    """It stores rows all the same; the command says why."""
    await keeping.tables(keeping.acme)
    await keeping.writer.execute(
        f"CREATE TABLE {keeping.database}.`{keeping.acme}.by_hand` (n UInt8) ENGINE = MergeTree ORDER BY n"
    )
    await RetentionTable(keeping.writer, keeping.database).set(keeping.acme, 30)

    await keeping.tables(keeping.acme)

    done = keeping.run("team", "retention", keeping.acme, "--days=30")
    assert (done.returncode, "by_hand" in done.stderr or "received_at" in done.stderr) == (5, True)


async def test_command_when_it_cannot_do_it(keeping: Keeping) -> None:
    """Without a yes nothing is changed, and it says what would go; what is wrong has its words and its exit code."""
    acme = keeping.acme
    await keeping.tables(acme)
    await keeping.fill(acme)

    unasked = keeping.run("team", "retention", acme, "--days=30")
    there, terminal = os.openpty()
    os.write(there, b"n\n")
    refused = keeping.run("team", "retention", acme, "--days=30", stdin=terminal)
    os.close(terminal)
    os.close(there)
    ends = {
        keeping.run("team", "retention", *arguments).returncode: arguments
        for arguments in ((acme, "--days=13"), ("nobody", "--days=30"))
    }
    away = keeping.run("team", "retention", acme, more={"CLICKHOUSE_URL": "http://127.0.0.1:1"})

    assert unasked.returncode == 2
    told = f"4 rows of {acme} are older and would be deleted for good: 1 of {acme}.purchased_an_item, 1 of dead_letters"
    assert told in unasked.stderr
    assert (refused.returncode, refused.stderr.endswith("Nothing was changed.\n")) == (7, True)
    assert keeping.retention(acme) == {"team": acme, "days": None, "set_at": None}
    assert list(ends) == [2, 4]
    assert (away.returncode, "ClickHouse" in away.stderr) == (5, True)
    keeping.retention(acme, "--days=30", "--yes")
    # Longer than before: nobody has to be asked.
    for _ in range(2):
        assert keeping.retention(acme, "--days=60")["days"] == 60
    shown = keeping.run("team", "retention", acme)
    assert shown.stdout.split()[:6] == ["team", "kept", "set_at", acme, "60", "days"]
    log = json.loads(keeping.run("team", "log", acme, "--json").stdout)
    changes = [entry["detail"] for entry in log if entry["action"] == "retention_changed"]
    assert changes == ["60 days", "30 days"]


async def test_page_when_followed(keeping: Keeping) -> None:
    """The command of docs/retention.md does what the page says."""
    keeping.run("team", "create", "acme")
    example = docs.block("docs/retention.md", "sh", "--days 90").replace(".venv/bin/events", str(EVENTS))
    arguments = example.split()[1:]

    done = keeping.run(*arguments)

    assert done.returncode == 0, done.stderr
    assert keeping.retention("acme")["days"] == 90


def received(number: int, team: str, days_ago: int) -> Headers:
    """What the ingress wrote beside an event, so long ago."""
    at = datetime.now(UTC) - timedelta(days=days_ago)
    changed = {"team": team.encode(), RECEIVED_AT: at.isoformat().encode()}
    return [(name, changed.get(name, value)) for name, value in raw_headers(0, number)]


async def write(records: Broker, keeping: Keeping, numbers: range, days_ago: int) -> None:
    """Raw records of acme, in partition 0."""
    for number in numbers:
        await records.produce_raw(0, b"k", GOOD, received(number, keeping.acme, days_ago))


async def test_audit_and_sink_when_rows_were_deleted(kafka: KafkaSettings, keeping: Keeping, tmp_path: Path) -> None:
    """A row past its time is not missing; a sink that begins anew on such tables stores each event once."""
    env = {"KAFKA_BOOTSTRAP_SERVERS": kafka.kafka_bootstrap_servers, "KAFKA_TOPIC_PREFIX": kafka.kafka_topic_prefix}
    warehouse = Warehouse(keeping.clickhouse)

    async def stored(rows: int) -> None:
        async def there() -> bool:
            return await asyncio.to_thread(warehouse.rows) == rows

        await eventually(there, f"{rows} rows are stored", 60)

    async with broker(kafka) as records:
        await write(records, keeping, range(5), OLD_DAYS)
        await write(records, keeping, range(5, 12), YOUNG_DAYS)
        with stream(kafka, tmp_path / "stream.out"):
            with running_sink(kafka, keeping.clickhouse, tmp_path / "first.out"):
                await stored(12)
                keeping.retention(keeping.acme, "--days=30", "--yes")
                await stored(7)
                audited = keeping.run("audit", "--json", more=env)
            await leave_open(kafka, Note(), [0])
            await write(records, keeping, range(12, 15), 0)
            with running_sink(
                kafka, keeping.clickhouse, tmp_path / "second.out", sink_audit_interval_seconds=0.2
            ) as sink:
                await stored(10)
                await eventually(lambda: asyncio.to_thread(sink.metric, "eventsapi_audited_offset"), "it audits")
                missing = sink.metric("eventsapi_audit_missing_offsets")

    (partition, *_) = json.loads(audited.stdout)["partitions"]
    assert (audited.returncode, partition["rows"], partition["deleted"], partition["missing"]) == (0, 7, 5, 0)
    assert missing == 0
    assert warehouse.value("SELECT uniqExact(_raw_offset) FROM {events}") == "10"
