"""Proposed schemas, and how events fit one."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fit import fit
from schemas.proposal import propose
from schemas.samples import properties_of
from schemas.typed import parse_schema

TIME = {"type": "long", "logicalType": "timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
UUID = {"type": "string", "logicalType": "uuid"}
AN_ID = "0bfd71c7-1b26-4048-81db-ee67e1edb90f"


def encoded(*events: object) -> list[bytes]:
    """Properties as JSON."""
    return [json.dumps(each).encode() for each in events]


@pytest.mark.parametrize(
    ("values", "proposed"),
    [
        ([1, 2], "long"),
        ([1, 2.5, "3"], "double"),
        (["39.95", "1.00"], "double"),
        (["1001", "0042"], "string"),
        ([True, "false"], "boolean"),
        ([0, 1], "long"),
        (["2026-11-24", "2026-11-25"], DATE),
        (["2026-11-24T10:00:00Z", "2026-11-25"], TIME),
        ([AN_ID], UUID),
        (["a", 1], "string"),
        ([*range(99), "n/a"], "long"),
        ([1, 2, "n/a"], "string"),
        ([[1, 2], [None]], {"type": "array", "items": "long"}),
        ([[]], {"type": "array", "items": "string"}),
        ([[[[[1]]]]], {"type": "array", "items": {"type": "array", "items": {"type": "array", "items": "string"}}}),
        ([{f"k{at}": 1 for at in range(51)}], {"type": "map", "values": "long"}),
    ],
)
def test_field_when_proposed(values: list[object], proposed: object) -> None:
    """The narrowest type that nearly all values fit; digits in quotes stay a string beside no number."""
    (field,) = propose("E", encoded(*({"x": value} for value in values)))["fields"]

    assert field == {"name": "x", "type": ["null", proposed], "default": None}


def test_schema_when_members_have_odd_names() -> None:
    """A member whose name is none of Avro's is the field's `property`; what cannot be one is left out."""
    document = propose(
        "1st Order!", encoded({"Order Total": 1, "order_total": 2, 'a"b': 3, "in": {"x y": None, "z": 1}})
    )

    schema = parse_schema(json.dumps(document))

    assert {field.name: field.member for field in schema.fields} == {
        "order_total": "Order Total",
        "order_total_": "order_total",
        "in": "in",
    }
    assert document["name"] == "Event1stOrder"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5) | st.sampled_from([AN_ID, "1.5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=4), json_values, max_size=4), min_size=1, max_size=4))
def test_schema_when_events_are_any(events: list[dict[str, object]]) -> None:
    """Whatever is sent, the proposal is a schema that can be used, and at least 95 of 100 values fit it."""
    samples = encoded(*events)
    document = propose("any event", samples)
    if not document["fields"]:
        return

    for each in fit(parse_schema(json.dumps(document)), samples):
        assert each.missing == 0
        assert each.present > 0


def test_fit_when_some_values_do_not() -> None:
    """Each field is counted by itself, with examples, and so are the events that would be dead letters."""
    fields = [
        {"name": "a", "type": ["null", "int"]},
        {"name": "b", "type": {"type": "array", "items": "int"}, "default": []},
        {"name": "c", "type": "string", "property": "The C"},
    ]
    schema = parse_schema(json.dumps({"type": "record", "name": "E", "fields": fields}))

    a, b, c = fit(
        schema, encoded({"a": "x\u001b[2J", "b": [1, "y", "z"], "The C": "c"}, {"a": 1, "b": [2], "The C": 1}, {})
    )

    assert (a.present, a.misfits, a.examples) == (2, 1, ['"x\\u001b[2J" is no number'])
    assert (b.present, b.misfits, b.examples) == (2, 1, ['"y" is no number', '"z" is no number'])
    assert (c.present, c.misfits, c.missing) == (2, 0, 1)


@pytest.mark.parametrize("shown", ["2026-11-24 10:00:00", "2026-11-24 10:00:00.500000000"])
def test_sample_when_clickhouse_shows_a_time(shown: str) -> None:
    """It is one for the proposal as well, whole seconds or not; the rest is as it was."""
    (sample,) = encoded({"at": shown, "x": f"at {shown}"})

    (at, _) = propose("E", [properties_of(b64encode(sample))])["fields"]

    assert at["type"] == ["null", TIME]
    assert json.loads(properties_of(b64encode(sample)))["x"] == f"at {shown}"
