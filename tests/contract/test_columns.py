"""The columns of a typed table take what the stream writes, and give it back."""

import json
from collections.abc import AsyncIterator

import pytest

from schemas.codec import Container
from schemas.columns import columns_of
from schemas.settings import ClickHouseSettings
from schemas.typed import parse_schema
from schemas.values.coerce import Coercion
from schemas.written import typed_fields
from sink.writer import Writer
from tests.sink import Warehouse

PLACE = {"type": "record", "name": "Place", "fields": [{"name": "zip", "type": "string"}, {"name": "at", "type": {
    "type": "record", "name": "At", "fields": [{"name": "north", "type": "double"}]}}]}  # fmt: skip
NO_PLACE = {"zip": None, "at": {"north": None}}
YES_OR_NO = {"type": "array", "items": "boolean"}
# The type of a field, a value as it is sent, and as ClickHouse shows it; what it shows for null is the last.
CASES: list[tuple[object, object, object, object]] = [
    ("boolean", True, True, None),
    ("int", 5, 5, None),
    ("long", -(2**63), str(-(2**63)), None),
    ("double", "39.95", 39.95, None),
    ("float", 1e300, 1e300, None),
    ("string", "naïve\x00", "naïve\x00", None),
    ("bytes", "YWI=", "ab", None),
    ({"type": "enum", "name": "E", "symbols": ["EUR"]}, "EUR", "EUR", None),
    (
        {"type": "string", "logicalType": "uuid"},
        "0BFD71C71B26404881DBEE67E1EDB90F",
        "0bfd71c7-1b26-4048-81db-ee67e1edb90f",
        None,
    ),
    ({"type": "int", "logicalType": "date"}, "1900-01-01", "1900-01-01", None),
    ({"type": "int", "logicalType": "date"}, "2299-12-31", "2299-12-31", None),
    (
        {"type": "long", "logicalType": "timestamp-millis"},
        "1900-01-01T00:00:00.000001Z",
        "1900-01-01 00:00:00.000001",
        None,
    ),
    (
        {"type": "long", "logicalType": "local-timestamp-micros"},
        "2299-12-31T23:59:59.999999Z",
        "2299-12-31 23:59:59.999999",
        None,
    ),
    ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, "-39.95", -39.95, None),
    ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 0}, 128, 128, None),
    ({"type": "array", "items": "int"}, [1, "x", None], ["1", None, None], []),
    ({"type": "array", "items": {"type": "array", "items": "string"}}, [["a"], None, []], [["a"], [], []], []),
    ({"type": "map", "values": "double"}, {"a": 1.5, "b": None}, {"a": 1.5, "b": None}, {}),
    ({"type": "map", "values": YES_OR_NO}, {"a": [True], "b": None}, {"a": [True], "b": []}, {}),
    (PLACE, {"zip": 10115, "at": {"north": "52.5"}}, {"zip": "10115", "at": {"north": 52.5}}, NO_PLACE),
    ({"type": "array", "items": "Place"}, [{"zip": "1"}, None], [NO_PLACE | {"zip": "1"}, NO_PLACE], []),
]  # fmt: skip


@pytest.fixture
async def writer(clickhouse: ClickHouseSettings) -> AsyncIterator[Writer]:
    """The sink's own way into a database of its own."""
    async with Writer(clickhouse, timeout_seconds=30) as writer:
        await writer.execute(f"CREATE DATABASE IF NOT EXISTS {clickhouse.clickhouse_database}")
        yield writer


async def test_columns_when_every_type_is_inserted(writer: Writer, clickhouse: ClickHouseSettings) -> None:
    """Each type comes back as it was sent, null as null, and where ClickHouse has no null as empty."""
    fields = [{"name": f"f{at}", "type": ["null", case[0]]} for at, case in enumerate(CASES)]
    schema = parse_schema(json.dumps({"type": "record", "name": "All", "namespace": "acme", "fields": fields}))
    columns, _ = columns_of(schema.fields)
    table = f"{clickhouse.clickhouse_database}.events"
    declared = ", ".join(f"{name} {of}" for name, of in columns.items())
    await writer.execute(f"CREATE TABLE {table} ({declared}) ENGINE = MergeTree ORDER BY tuple()")
    container = Container({"type": "record", "name": "All", "fields": typed_fields(schema)}, renamed={})
    sent = {f"f{at}": case[1] for at, case in enumerate(CASES)}
    bodies = [Coercion(schema).apply(json.dumps(properties).encode()).body for properties in (sent, {})]

    await writer.insert(table, container, bodies, "all")

    assert container.columns == tuple(columns)
    text = Warehouse(clickhouse).value(
        "SELECT * FROM {events} ORDER BY f0 NULLS LAST FORMAT JSONEachRow "
        "SETTINGS output_format_json_quote_64bit_integers = 1"
    )
    full, empty = map(json.loads, text.splitlines())
    shown = [str(case[2]) if type(case[2]) is int and "decimal" not in str(case[0]) else case[2] for case in CASES]
    assert list(full.values()) == shown
    assert list(empty.values()) == [case[3] for case in CASES]
