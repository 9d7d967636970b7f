"""Typed tables, discards and `warehouse.events`: what the sink makes of records that schemas wrote."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from schemas.registered import Registered, Version
from schemas.settings import ClickHouseSettings, KafkaSettings
from sink.batch import Batch
from sink.inserts import Targets
from sink.offsets import Note
from sink.rows import Row, read_record
from sink.tables import Tables
from sink.writer import Writer
from tests.services import eventually
from tests.sink import (
    Feed,
    Stored,
    Warehouse,
    dead_letters,
    envelope,
    feed,
    headers,
    leave_open,
    running_sink,
    without_merges,
)
from tests.typed import NOTHING_FITS, PURCHASE, publish, typed_record, version

PARTITION = 0
Answer = list[list[object]]
COUNTRY: list[dict[str, Any]] = [*PURCHASE, {"name": "country", "type": "string", "default": ""}]


@pytest.fixture
async def warehouse(clickhouse: ClickHouseSettings) -> Warehouse:
    """What the sink of this test wrote."""
    return await without_merges(clickhouse)


@pytest.fixture
async def records(kafka: KafkaSettings) -> AsyncIterator[Feed]:
    """The stream's place."""
    async with feed(kafka) as records:
        yield records


async def says(warehouse: Warehouse, query: str, expected: Answer) -> None:
    """Wait until a query has this answer; {team} and the like are filled in by the caller."""
    answer: Answer = []

    def asked() -> bool:
        nonlocal answer
        with suppress(requests.RequestException):
            text = warehouse.value(
                f"{query} FORMAT JSONCompactEachRow SETTINGS output_format_json_quote_64bit_integers=0"
            )
            answer = [json.loads(line) for line in text.splitlines()]
        return answer == expected

    try:
        await eventually(lambda: asyncio.to_thread(asked), query)
    except TimeoutError:
        assert answer == expected


async def test_rows_when_a_schema_wrote_them(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, records: Feed, tmp_path: Path
) -> None:
    """One record is a row of events, of its typed table and, where something did not fit, rows of the discards."""
    team = records.team
    first = version(team)
    with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
        await publish(kafka, first)
        # The table is there before anything comes for it.
        await says(warehouse, f"SELECT count() FROM {team}.purchased_an_item", [[0]])
        await records.one(PARTITION, *typed_record(first, PARTITION, 0, {"revenue": 39.95}))
        await records.one(PARTITION, *typed_record(first, PARTITION, 1, {"revenue": None}, [NOTHING_FITS] * 2))
        await records.one(PARTITION, envelope(PARTITION, 2, team), headers(PARTITION, 2, team))

        await says(warehouse, f"SELECT _raw_offset FROM {team}.events ORDER BY 1", [[0], [1], [2]])
    typed = f"SELECT _raw_offset, revenue, user_id FROM {team}.purchased_an_item ORDER BY 1"
    await says(warehouse, typed, [[0, 39.95, "user-0"], [1, None, "user-1"]])
    discards = f"SELECT _raw_offset, event, field, value, wanted, reason FROM {team}.discards"
    await says(warehouse, discards, [[1, "Purchased an Item", "revenue", '"much"', "double", "is no number"]] * 2)


async def test_rows_when_the_schema_changes_in_mid_stream(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, records: Feed, tmp_path: Path
) -> None:
    """One table takes what all versions of a major wrote, deleted ones too; a view shows all majors."""
    team = records.team
    first, second = version(team), version(team, COUNTRY, number=2, writer_id=1_003)
    as_text = [{"name": "revenue", "type": ["null", "string"], "default": None}]
    breaking = version(team, as_text, major=2, writer_id=1_005)
    with running_sink(kafka, clickhouse, tmp_path / "sink.out", sink_max_batch_age_seconds=1):
        await publish(kafka, first)
        await records.one(PARTITION, *typed_record(first, PARTITION, 0, {"revenue": 1.0}))
        # Registered just before its first record, and one of them deleted while its records are in flight.
        await publish(kafka, second, breaking, version(team, deleted=True))
        await records.one(PARTITION, *typed_record(second, PARTITION, 1, {"revenue": 2.0, "country": "DE"}))
        await records.one(PARTITION, *typed_record(breaking, PARTITION, 2, {"revenue": "3 EUR"}))
        await records.one(PARTITION, *typed_record(first, PARTITION, 3, {"revenue": 4.0}))
        await says(warehouse, f"SELECT count() FROM {team}.events", [[4]])
    table = f"SELECT _raw_offset, revenue, country FROM {team}.purchased_an_item ORDER BY 1"
    await says(warehouse, table, [[0, 1.0, None], [1, 2.0, "DE"], [3, 4.0, None]])
    await says(warehouse, f"SELECT revenue FROM {team}.purchased_an_item_v2", [["3 EUR"]])
    union = f"SELECT _raw_offset, _major, revenue, revenue_v1, country FROM {team}.purchased_an_item_all ORDER BY 1"
    rows: Answer = [
        [0, 1, None, 1.0, None],
        [1, 1, None, 2.0, "DE"],
        [2, 2, "3 EUR", None, None],
        [3, 1, None, 4.0, None],
    ]
    await says(warehouse, union, rows)


async def test_record_when_its_schema_is_unknown(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, records: Feed, tmp_path: Path
) -> None:
    """It is a dead letter, as is one of another team's schema; the records around them are stored."""
    team = records.team
    known, never, others = version(team), version(team, writer_id=7_001), version("other", writer_id=1_003)
    await publish(kafka, known, others)
    value, claims = typed_record(others, PARTITION, 2, {"revenue": 1.0})
    with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
        await records.one(PARTITION, *typed_record(known, PARTITION, 0, {"revenue": 1.0}))
        await records.one(PARTITION, *typed_record(never, PARTITION, 1, {"revenue": 1.0}))
        await records.one(
            PARTITION, value, [(name, team.encode() if name == "team" else text) for name, text in claims]
        )
        await records.one(PARTITION, *typed_record(known, PARTITION, 3, {"revenue": 1.0}))
        await says(warehouse, f"SELECT _raw_offset FROM {team}.purchased_an_item ORDER BY 1", [[0], [3]])
    reasons = sorted((letter["reason"], letter["raw_offset"]) for _, letter in await dead_letters(kafka))
    assert reasons == [("invalid_header", "2"), ("unknown_schema", "1")]


@pytest.mark.parametrize("reached", [(0, 0, 0), (3, 0, 0), (6, 2, 0), (6, 6, 3), (6, 6, 6)])
async def test_rows_when_the_sink_died_between_inserts(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, records: Feed, tmp_path: Path, reached: tuple[int, int, int]
) -> None:
    """However far an earlier attempt came, and though its tokens are forgotten, each table has each row once."""
    team, warehouse = records.team, await without_merges(clickhouse)
    first = version(team)
    await publish(kafka, first)
    written = [typed_record(first, PARTITION, n, {"revenue": None}, [NOTHING_FITS]) for n in range(6)]
    for value, cut in written:
        await records.one(PARTITION, value, cut)
    await leave_open(kafka, Note(6), [PARTITION])
    await attempt(clickhouse, first, written, reached)
    with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
        await says(warehouse, f"SELECT count() FROM {team}.events", [[6]])
    database = clickhouse.clickhouse_database
    for table in ("events", "discards", f"`{team}.purchased_an_item`"):
        physical = f"SELECT count(), uniqExact(_raw_offset) FROM {database}.{table} WHERE _raw_partition = {PARTITION}"
        await says(warehouse, physical, [[6, 6]])


async def attempt(
    clickhouse: ClickHouseSettings,
    by: Version,
    written: list[tuple[bytes, list[tuple[str, bytes]]]],
    reached: tuple[int, int, int],
) -> None:
    """Insert the first rows of each table, as a sink that died then has."""
    registered = Registered()
    registered.apply(by, 0)
    database = clickhouse.clickhouse_database
    rows = [read_record(Stored(n, value, cut), set(), registered) for n, (value, cut) in enumerate(written)]
    batch = Batch(0, len(rows), [row for row in rows if isinstance(row, Row)], writer_ids=frozenset({by.writer_id}))
    async with Writer(clickhouse, timeout_seconds=30) as writer:
        await Tables(writer, database, registered).ensure([by.subject.team], [by.writer_id])
        for insert, count in zip(Targets(database, registered).inserts(batch), reached, strict=True):
            if count:
                target = insert.target
                await writer.insert(target.table, target.container, insert.bodies()[:count], "forgotten")


async def test_rows_when_a_typed_table_is_dropped(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, warehouse: Warehouse, records: Feed, tmp_path: Path
) -> None:
    """A table, or a column, that somebody drops is made again, and takes what comes."""
    team = records.team
    first = version(team, COUNTRY)
    await publish(kafka, first)
    table = f"{clickhouse.clickhouse_database}.`{team}.purchased_an_item`"
    changes = [f"DROP TABLE {table} SYNC", f"ALTER TABLE {table} DROP COLUMN country"]
    with running_sink(kafka, clickhouse, tmp_path / "sink.out"):
        for at in range(3):
            await records.one(PARTITION, *typed_record(first, PARTITION, at, {"revenue": 1.0, "country": "DE"}))
            rows = f"SELECT country FROM {team}.purchased_an_item WHERE _raw_offset = {at}"
            await says(warehouse, rows, [["DE"]])
            for change in changes[at : at + 1]:
                warehouse.value(change)
    await says(warehouse, f"SELECT count() FROM {team}.events", [[3]])
