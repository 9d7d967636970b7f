"""The table takes what the envelope holds, and every event that the ingress accepts."""

import json
from collections.abc import AsyncIterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import ENVELOPE_CONTAINER
from schemas.events import parse_event
from schemas.free_json import MAX_DEPTH, json_text
from schemas.settings import ClickHouseSettings
from sink.tables import Tables
from sink.writer import Writer
from tests.sink import Warehouse, envelope, store

NEW = count()

ODD_OBJECTS = [
    "{}",
    '{"": 1}',
    '{"a": 1, "a": 2, "a": "three"}',
    '{"a.b": 1, "a": {"b": 2}}',
    '{"a": {"b": 1}, "a": 2}',
    '{"a": 1, "a": {"b": 2}, "a": [1]}',
    '{"a": [1, "x", null, {"b": [[]]}, [2.5, {"c": {}}]]}',
    '{"a": [[1], ["x"], [{"b": 1}], []]}',
    '{"n": 123456789012345678901234567890, "m": -9223372036854775809, "u": 18446744073709551616}',
    '{"n": 1.7976931348623157e308, "tiny": 1e-400, "zero": -0, "exact": 39.950}',
    '{"nul": "\\u0000", "key\\u0000": "\\ud83d\\ude00", "quote\\"`\'": "\\\\"}',
    '{"null": null, "empty": [], "nested": {"empty": {}}}',
    '{"2026-11-23": "2026-11-23T00:00:00Z", "date": "0000-00-00", "uuid": "x", "bool": [true, false]}',
    json.dumps({f"key {number}": number for number in range(2_000)}),
    '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH,
    '{"a":' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}",
    '{"long": "' + "x" * 30_000 + '"}',
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
json_objects = st.dictionaries(st.text(max_size=4), json_values, max_size=4)


@pytest.fixture
async def writer(clickhouse: ClickHouseSettings) -> AsyncIterator[Writer]:
    """The sink's own way into a warehouse that is ready."""
    async with Writer(clickhouse, timeout_seconds=30) as writer:
        await Tables(writer, clickhouse.clickhouse_database).ensure()
        yield writer


def normalized(free: str, raw_offset: int) -> bytes:
    """What becomes of an event with these properties and this context, once the ingress has accepted it."""
    member = free.encode()
    event = parse_event(b'{"version":1,"type":"event","event":"x","properties":%b,"context":%b}' % (member, member))
    texts = {"properties_json": json_text(event.properties), "context_json": json_text(event.context)}
    return envelope(0, raw_offset, "acme", **texts)


def test_columns_when_compared_with_the_envelope(writer: Writer, clickhouse: ClickHouseSettings) -> None:
    """The columns that an insert fills are the container's fields; all others follow from these."""
    assert writer.answers
    described = Warehouse(clickhouse).value("DESCRIBE TABLE {events} FORMAT TSVRaw").splitlines()
    columns = [line.split("\t")[:3] for line in described]

    filled = {name for name, _, default in columns if default in {"", "EPHEMERAL"}}

    assert filled == set(ENVELOPE_CONTAINER.columns)
    assert {name for name, _, default in columns if default == "EPHEMERAL"} == {"properties_json", "context_json"}


@pytest.mark.parametrize("free", ODD_OBJECTS, ids=lambda free: free[:30])
async def test_event_when_its_json_is_odd(writer: Writer, clickhouse: ClickHouseSettings, free: str) -> None:
    """Free JSON that the ingress accepts becomes a row, however odd: senders cannot make poison."""
    await store(writer, [normalized(free, 0)], "odd", clickhouse.clickhouse_database)

    assert Warehouse(clickhouse).rows() == 1


@given(objects=st.lists(json_objects, min_size=50, max_size=50))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
async def test_event_when_its_json_is_any(
    writer: Writer, clickhouse: ClickHouseSettings, objects: list[dict[str, object]]
) -> None:
    """Whatever objects are sent, all of a batch become rows."""
    raw_offsets = [next(NEW) for _ in objects]
    values = [normalized(json.dumps(each), at) for each, at in zip(objects, raw_offsets, strict=True)]

    database = clickhouse.clickhouse_database
    await store(writer, values, f"any/{raw_offsets[0]}", database)

    present = await writer.present(f"{database}.events", 0, raw_offsets[0], raw_offsets[-1])
    assert {raw_offset for raw_offset, _ in present} == set(raw_offsets)
