"""The sink when something dies: every raw offset has exactly one row in the end.

Rows are counted physically, not through FINAL, and nothing is merged: both would hide a double one.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from deploy.local.clickhouse.users import Role
from deploy.topics import create_topics
from schemas.fatal import EXIT_UNEXPECTED
from schemas.settings import ClickHouseSettings, KafkaSettings
from sink.offsets import Note, decode_note
from sink.writer import Writer
from tests.clickhouse_service import running_clickhouse
from tests.faults.proxy import proxy
from tests.integration.hanging import hanging
from tests.services import PARTITIONS, eventually, free_port, kafka_node, running_kafka
from tests.sink import (
    Feed,
    Sink,
    Warehouse,
    dead_letters,
    envelope,
    event_id,
    exactly,
    feed,
    headers,
    leave_open,
    running_sink,
    store,
    without_merges,
)

RUN = 300
STALL_SECONDS = 4


@dataclass
class Written:
    """How many runs were written into each partition so far."""

    runs: int = 0


@asynccontextmanager
async def under_load(records: Feed, runs: int | None = None) -> AsyncIterator[Written]:
    """Write so many runs, or until the context ends, with the repeats that the stream makes after a crash."""
    written, ended = Written(), asyncio.Event()

    async def write() -> None:
        while not ended.is_set() if runs is None else written.runs < runs:
            start = written.runs * RUN
            # As after a crash of the stream: the run before comes once more, and this one starts within it.
            repeated = RUN if written.runs % 7 == 3 else 0
            await records.all(range(start - repeated, start + RUN))
            written.runs += 1
            await asyncio.sleep(0.02)

    writing = asyncio.create_task(write())
    yield written
    ended.set()
    await writing


async def stored(warehouse: Warehouse, raw_offsets: int) -> None:
    """Wait until each partition has this many rows, and check that there are no others."""
    await eventually(lambda: at_least(warehouse, raw_offsets * PARTITIONS), "all rows")
    assert warehouse.per_partition() == exactly(raw_offsets)


async def at_least(warehouse: Warehouse, rows: int) -> bool:
    """Whether the table has as many rows."""
    return await asyncio.to_thread(warehouse.rows) >= rows


async def metric(sink: Sink, name: str, least: float) -> bool:
    """Whether a metric of a running sink has reached a value."""
    with suppress(requests.RequestException):
        return await asyncio.to_thread(sink.metric, name) >= least
    return False


async def offsets(kafka: KafkaSettings) -> dict[int, tuple[int, Note]]:
    """What the sink has committed for each partition."""
    admin = AIOKafkaAdminClient(**kafka.kafka_options())
    try:
        await admin.start()
        found = await admin.list_consumer_group_offsets(kafka.topics.sink_group)
    finally:
        await admin.close()
    return {at.partition: (committed.offset, decode_note(committed.metadata)) for at, committed in found.items()}


async def ranges_open(kafka: KafkaSettings) -> bool:
    """Whether every partition has an insert under way."""
    notes = [note for _, note in (await offsets(kafka)).values()]
    return len(notes) == PARTITIONS and all(note.open_end for note in notes)


async def all_done(kafka: KafkaSettings, end: int) -> bool:
    """Whether the sink is past the last record of partition 0, and nothing is under way there."""
    offset, note = (await offsets(kafka)).get(0, (0, Note()))
    return offset == end and note.open_end is None


@pytest.fixture
async def warehouse(clickhouse: ClickHouseSettings) -> Warehouse:
    """What the sink of this test wrote."""
    return await without_merges(clickhouse)


async def test_rows_when_the_sink_is_killed(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    """Killed at random moments under load, time after time: no row is missing, none is double."""
    moments = random.Random(1)  # noqa: S311 - moments, no secrets
    async with feed(kafka) as records, under_load(records, runs=50):
        for _ in range(2):
            with running_sink(kafka, clickhouse, tmp_path / "sink.out", wait=False) as sink:
                before = await asyncio.to_thread(warehouse.rows)
                await eventually(lambda: at_least(warehouse, before + 1), "some rows")  # noqa: B023 - awaited here
                await asyncio.sleep(moments.uniform(0, 0.4))
                sink.kill()
    with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
        await stored(warehouse, 50 * RUN)


async def test_rows_when_clickhouse_is_killed(kafka: KafkaSettings, tmp_path: Path) -> None:
    """ClickHouse killed, and away for long: the sink stays, its memory is bounded, no row is lost, none is double."""
    port, folder = free_port(), tmp_path / "clickhouse"
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(feed(kafka))
        with running_clickhouse(folder, port) as endpoint:
            clickhouse = ClickHouseSettings(clickhouse_url=SecretStr(endpoint.url(Role.SINK)))
            warehouse = await without_merges(clickhouse)
            sink = stack.enter_context(running_sink(kafka, clickhouse, tmp_path / "sink.out", sink_max_batch_rows=300))
            await stack.enter_async_context(under_load(records, runs=50))
            await eventually(lambda: at_least(warehouse, 4 * RUN), "some rows")
            endpoint.running.kill()
        await eventually(lambda: metric(sink, "eventsapi_insert_retries_total", 7 * PARTITIONS), "seven attempts each")
        held = sink.metric("eventsapi_buffered_bytes")
        with running_clickhouse(folder, port):
            await stored(warehouse, 50 * RUN)
        assert 0 < held <= 2 * PARTITIONS * 300 * len(envelope(0, 99_999, records.team))
        assert sink.log.read_text("utf-8").count("partitions_assigned") == 1


async def test_rows_when_a_paused_sink_inserts_late(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    """An insert that lands after another sink took over adds nothing: the successor has redone exactly its range."""
    url = urlsplit(clickhouse.clickhouse_url.get_secret_value())
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(feed(kafka))
        between = await stack.enter_async_context(proxy(url.port or 8123))
        detour = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{between.port}").geturl()
        indirect = clickhouse.model_copy(update={"clickhouse_url": SecretStr(detour)})
        paused = stack.enter_context(running_sink(kafka, indirect, tmp_path / "paused.out", wait=False))
        await records.all(range(RUN))
        await stored(warehouse, RUN)
        between.requests.delay_seconds = 5
        await records.all(range(RUN, 2 * RUN))
        await eventually(lambda: ranges_open(kafka), "an insert under way in each partition")
        paused.running.send_signal(signal.SIGSTOP)
        successor = stack.enter_context(
            running_sink(kafka, clickhouse, tmp_path / "next.out", wait=False, sink_max_batch_rows=77)
        )
        await stored(warehouse, 2 * RUN)
        paused.running.send_signal(signal.SIGCONT)
        await eventually(lambda: metric(paused, "eventsapi_insert_seconds_count", 2 * PARTITIONS), "the late inserts")
        await records.all(range(2 * RUN, 3 * RUN))
        await stored(warehouse, 3 * RUN)
        assert successor.running.poll() is None
        assert paused.running.poll() is None


async def test_rows_when_sinks_come_and_go(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    """One sink, two, and one again, twice under load: both work, those that go end with 0, each row is there once."""
    rows = "eventsapi_rows_inserted_total"
    async with feed(kafka) as records:
        with running_sink(kafka, clickhouse, tmp_path / "first.out") as first:
            async with under_load(records) as written:
                for _ in range(2):
                    with running_sink(kafka, clickhouse, tmp_path / "second.out", wait=False) as second:
                        await eventually(lambda: metric(second, rows, 1), "rows by the second")
                        before = await asyncio.to_thread(first.metric, rows)
                        await eventually(lambda: metric(first, rows, before + 1), "rows by the first")  # noqa: B023 - awaited here
                        assert await asyncio.to_thread(second.terminate) == 0
            await stored(warehouse, written.runs * RUN)


@pytest.mark.parametrize("there", [0, RUN // 2, RUN])
async def test_rows_when_the_sink_died_between_insert_and_commit(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path, there: int
) -> None:
    """An open range is made complete, whether none, some or all of its rows are there; tokens may be forgotten."""
    async with feed(kafka) as records:
        await records.all(range(RUN))
        await leave_open(kafka, Note(RUN))
        async with Writer(clickhouse, timeout_seconds=30) as writer:
            for partition in range(PARTITIONS if there else 0):
                values = [envelope(partition, n, records.team) for n in range(there)]
                await store(writer, values, f"forgotten/{partition}", clickhouse.clickhouse_database)
        await records.all(range(RUN, 2 * RUN))
        with running_sink(kafka, clickhouse, tmp_path / "sink.out") as sink:
            await stored(warehouse, 2 * RUN)
            assert sink.metric("eventsapi_repeats_dropped_total") == there * PARTITIONS


async def test_rows_when_offsets_are_set_back(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    """Offsets that an operator sets back to the start double nothing: what is there is asked for first."""
    async with feed(kafka) as records:
        await records.all(range(RUN))
        with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
            await stored(warehouse, RUN)
        await leave_open(kafka, Note())
        await records.all(range(RUN, 2 * RUN))
        with running_sink(kafka, clickhouse, tmp_path / "sink.out", sink_max_batch_rows=77):
            await stored(warehouse, 2 * RUN)


async def test_rows_when_the_raw_topic_is_made_anew(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    """New events at raw offsets that were there before are new rows; the same events again are not."""
    async with feed(kafka) as records:
        await records.run(0, range(RUN))
        with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
            await eventually(lambda: at_least(warehouse, RUN), "all rows")
            for raw_offset in range(3):
                new = event_id(9, raw_offset)
                value = envelope(0, raw_offset, records.team, event_id=new)
                known = dict(headers(0, raw_offset, records.team)) | {"event_id": new.encode()}
                await records.one(0, value, list(known.items()))
            await records.run(0, range(RUN))
            await eventually(lambda: all_done(kafka, 2 * RUN + 3), "the offset past all records")
    assert warehouse.per_partition() == [(0, RUN + 3, RUN, RUN - 1)]


async def test_record_when_it_can_be_no_row(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    """What cannot be a row becomes a dead letter with its reason, and every record around it a row."""
    async with feed(kafka) as records:
        poison = envelope(0, RUN, records.team, event_id="not-a-uuid")
        cut = envelope(0, RUN + 1, records.team)[:-9]
        await records.run(0, range(RUN))
        await records.one(0, poison, headers(0, RUN, records.team))
        await records.one(0, cut, headers(0, RUN + 1, records.team))
        await records.one(0, b"{}", headers(0, RUN + 2, records.team))
        await records.one(0, envelope(0, RUN + 3, records.team), [])
        await records.run(0, range(RUN + 4, 2 * RUN))
        with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
            await eventually(lambda: at_least(warehouse, 2 * RUN - 4), "all good rows")
            await eventually(lambda: all_done(kafka, 2 * RUN), "the offset past all records")
        assert warehouse.per_partition() == [(0, 2 * RUN - 4, 2 * RUN - 4, 2 * RUN - 1)]
    letters = await dead_letters(kafka)
    assert sorted((letter["reason"], letter.get("raw_offset"), letter["raw_partition"]) for _, letter in letters) == [
        ("missing_header", None, "0"),
        ("not_insertable", str(RUN), "0"),
        ("not_insertable", str(RUN + 1), "0"),
        ("unknown_format", str(RUN + 2), "0"),
    ]
    assert {value for value, _ in letters} >= {poison, cut, b"{}"}


async def test_rows_when_a_table_is_dropped(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    """A table that somebody drops is made again, and takes what comes."""
    async with feed(kafka) as records:
        with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
            await records.all(range(RUN))
            await stored(warehouse, RUN)
            warehouse.value("DROP TABLE {events} SYNC")
            await records.all(range(RUN, 2 * RUN))
            await eventually(lambda: at_least(warehouse, RUN * PARTITIONS), "all later rows")


async def test_rows_when_asked_to_end(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    """SIGTERM inserts what was collected, commits it, leaves the group, closes its clients and ends with 0."""
    async with feed(kafka) as records:
        await records.all(range(10))
        expected = 10 * PARTITIONS * len(envelope(0, 0, records.team))
        with running_sink(kafka, clickhouse, tmp_path / "sink.out", sink_max_batch_age_seconds=600) as sink:
            await eventually(lambda: metric(sink, "eventsapi_buffered_bytes", expected), "all records in memory")
            await eventually(lambda: metric(sink, "eventsapi_consumer_lag_records", 10 * PARTITIONS), "the watchdog")
            assert warehouse.rows() == 0
            assert sink.terminate() == 0
    assert warehouse.per_partition() == exactly(10)
    assert await all_done(kafka, 10)
    assert "Unclosed" not in (tmp_path / "sink.out").read_text("utf-8")


async def test_sink_when_its_password_is_wrong(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    """A wrong password is said once, with what to do, and does not end the process; SIGTERM still does, soon."""
    url = urlsplit(clickhouse.clickhouse_url.get_secret_value())
    wrong = clickhouse.model_copy(
        update={"clickhouse_url": SecretStr(url._replace(netloc=f"sink:wrong@127.0.0.1:{url.port}").geturl())}
    )
    with running_sink(kafka, wrong, tmp_path / "sink.out", wait=False, sink_stop_timeout_seconds=1) as sink:
        log = tmp_path / "sink.out"
        await eventually(lambda: metric(sink, "eventsapi_insert_retries_total", 3 * PARTITIONS), "three attempts each")
        assert log.read_text("utf-8").count("clickhouse_away") == 1
        assert "CLICKHOUSE_URL" in log.read_text("utf-8")
        assert "wrong" not in log.read_text("utf-8")
        assert sink.terminate() == 0


async def test_sink_when_a_bug_meets_a_producer_that_cannot_leave(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    """What is unexpected ends the process before anything is cleaned up, which may wait for Kafka for ever."""
    with hanging_sink(kafka, clickhouse, tmp_path / "sink.out", "cannot_leave") as sink:
        assert await asyncio.to_thread(sink.running.wait, 30) == EXIT_UNEXPECTED
        assert "a bug in the watchdog" in sink.log.read_text("utf-8")


@pytest.mark.parametrize("hang", ["aiokafka_847", "never_joins"])
async def test_rows_when_the_sink_hangs_outside_its_group(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path, hang: str
) -> None:
    """A rejoin that hangs once the loop was blocked, or the first join: the process says so and ends; none is lost."""
    async with feed(kafka) as records:
        with hanging_sink(kafka, clickhouse, tmp_path / "sink.out", hang) as sink:
            await records.all(range(RUN))
            assert await asyncio.to_thread(sink.running.wait, 90) == EXIT_UNEXPECTED
            assert "the group is not joined" in sink.log.read_text("utf-8")
        await records.all(range(RUN, 2 * RUN))
        with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
            await stored(warehouse, 2 * RUN)


async def test_rows_when_aiokafka_1154_hangs(
    clickhouse: ClickHouseSettings, warehouse: Warehouse, tmp_path: Path
) -> None:
    """Kafka restarted, and fetches that are never answered again: the process says so and ends; none is lost."""
    node = kafka_node(tmp_path / "kafka")
    kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
    with hanging_sink(kafka, clickhouse, tmp_path / "sink.out", "aiokafka_1154") as sink:
        with running_kafka(node):
            await create_topics(kafka, PARTITIONS)
            async with feed(kafka) as records:
                await records.all(range(RUN))
                await stored(warehouse, RUN)
        with running_kafka(node):
            async with feed(kafka) as records:
                await records.all(range(RUN, 2 * RUN))
                assert await asyncio.to_thread(sink.running.wait, 60) == EXIT_UNEXPECTED
                assert f"brings nothing (at offset {RUN})" in sink.log.read_text("utf-8")
                with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
                    await stored(warehouse, 2 * RUN)


async def test_sink_when_only_clickhouse_hangs(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    """Partitions without room, for ClickHouse does not answer, do not stand still: it stays the same process."""
    url = urlsplit(clickhouse.clickhouse_url.get_secret_value())
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(feed(kafka))
        between = await stack.enter_async_context(proxy(url.port or 8123))
        detour = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{between.port}").geturl()
        indirect = clickhouse.model_copy(update={"clickhouse_url": SecretStr(detour)})
        sink = stack.enter_context(
            running_sink(
                kafka,
                indirect,
                tmp_path / "sink.out",
                wait=False,
                sink_max_batch_rows=RUN,
                sink_insert_timeout_seconds=1,
                sink_stall_seconds=2,
            )
        )
        await eventually(lambda: asyncio.to_thread(sink.ready), "the sink is ready")
        between.requests.swallow = True
        await records.all(range(4 * RUN))
        await eventually(lambda: metric(sink, "eventsapi_insert_retries_total", 4 * PARTITIONS), "four attempts each")
        assert sink.running.poll() is None
        between.heal()
        await stored(Warehouse(clickhouse), 4 * RUN)
        assert sink.running.poll() is None


def hanging_sink(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, log: Path, hang: str
) -> AbstractContextManager[Sink]:
    """A sink that hangs in this way, and is to notice it soon."""
    command = hanging(hang, "sink")
    return running_sink(kafka, clickhouse, log, wait=False, command=command, sink_stall_seconds=STALL_SECONDS)
