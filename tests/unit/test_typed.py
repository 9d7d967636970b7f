"""A team's schema: what is taken, what is refused in which words, and what the stream writes for it."""

import json
from typing import Any

import fastavro
import pytest

from schemas.field_types import ABSENT, Field, Kind, Type
from schemas.typed import MAX_FIELDS, SchemaError, parse_schema
from schemas.written import DISCARDS, writer_schema

ENVELOPE = {"type": "record", "name": "Event", "fields": [{"name": "team", "type": "string"}]}


def schema(*fields: dict[str, Any], **more: object) -> str:
    """A schema of these fields, as text."""
    return json.dumps({"type": "record", "name": "Purchase", "fields": fields} | more)


def field(of: object, **more: object) -> str:
    """A schema of one field."""
    return schema({"name": "x", "type": of} | more)


def nested(levels: int) -> object:
    """An array of arrays."""
    return "long" if levels == 0 else {"type": "array", "items": nested(levels - 1)}


@pytest.mark.parametrize(
    ("of", "kind", "written"),
    [
        ("int", Kind.LONG, "long"),
        ("long", Kind.LONG, "long"),
        ("float", Kind.DOUBLE, "double"),
        ({"type": "double"}, Kind.DOUBLE, "double"),
        ("bytes", Kind.BYTES, "bytes"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, Kind.ENUM, "string"),
        ({"type": "string", "logicalType": "uuid"}, Kind.UUID, {"type": "string", "logicalType": "uuid"}),
        (
            {"type": "long", "logicalType": "local-timestamp-millis"},
            Kind.TIMESTAMP,
            {"type": "long", "logicalType": "timestamp-micros"},
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2},
            Kind.DECIMAL,
            {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2},
        ),
        ({"type": "map", "values": "int"}, Kind.MAP, {"type": "map", "values": ["null", "long"]}),
        (nested(2), Kind.ARRAY, {"type": "array", "items": ["null", {"type": "array", "items": ["null", "long"]}]}),
    ],
)
@pytest.mark.parametrize("form", [lambda of: of, lambda of: ["null", of], lambda of: [of, "null"]])
def test_field_when_written(of: object, kind: Kind, written: object, form: Any) -> None:
    """Each type is written as the widest of its kind, nullable with the default null."""
    parsed = parse_schema(field(form(of)))

    (typed,) = writer_schema(ENVELOPE, parsed)["fields"][2:]

    assert parsed.fields[0].type.kind is kind
    assert parsed.fields[0].required == (form(of) == of)
    assert typed == {"name": "x", "type": ["null", written], "default": None}


def test_writer_schema_when_a_record_is_used_twice_and_a_name_is_ours() -> None:
    """Envelope, discards, typed fields; a record is defined once; a field with a name of ours gets another."""
    place = {"type": "record", "name": "Place", "fields": [{"name": "zip", "type": "string"}]}
    text = schema(
        {"name": "home", "type": place}, {"name": "work", "type": ["null", "Place"]}, {"name": "team", "type": "int"}
    )

    written = writer_schema(ENVELOPE, parse_schema(text))

    assert [each["name"] for each in written["fields"]] == ["team", "discards", "home", "work", "prop_team"]
    assert written["fields"][1] == DISCARDS
    assert written["fields"][3]["type"] == ["null", "Place"]
    fastavro.parse_schema(written)


def test_field_when_its_member_is_no_avro_name() -> None:
    """`property` names the member."""
    (parsed,) = parse_schema(schema({"name": "order_total", "type": "double", "property": "Order Total"})).fields

    assert parsed == Field("order_total", "Order Total", Type(Kind.DOUBLE), nullable=False, default=ABSENT)


@pytest.mark.parametrize(
    ("of", "default", "meant"),
    [
        ("int", 5, 5),
        (["null", "int"], None, None),
        ({"type": "int", "logicalType": "date"}, 1, "1970-01-02"),
        ({"type": "long", "logicalType": "timestamp-millis"}, 1_500, "1970-01-01T00:00:01.500000+00:00"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, "\u000f\u009b", "39.95"),
        ("bytes", "\u00ff", "/w=="),
        ({"type": "array", "items": "string"}, ["a"], ["a"]),
        (
            {"type": "record", "name": "P", "fields": [{"name": "a", "type": "int", "property": "A", "default": 1}]},
            {},
            {"A": 1},
        ),
    ],
)
def test_default_when_parsed(of: object, default: object, meant: object) -> None:
    """A default becomes what a sender would have written."""
    assert parse_schema(field(of, default=default)).fields[0].default == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"type": "string"}', "must be an Avro record"),
        (schema(), "must have fields"),
        (schema({"name": "Order Total", "type": "int"}), '"property": "Order Total"'),
        (schema({"name": "x", "type": "int"}, {"name": "x", "type": "int"}), "more than one field named 'x'"),
        (schema({"name": "x", "type": "int"}, {"name": "y", "type": "int", "property": "x"}), "field for 'x'"),
        (schema({"name": "x"}), "`x` has no type"),
        (field("int", property='a"b'), "without quotes"),
        (field(["int", "string"]), 'only ["null", T]'),
        (field(["null", "int", "string"]), 'only ["null", T]'),
        (field({"type": "array", "items": ["int", "string"]}), "`x[]` is a union"),
        (field({"type": "array"}), "what its items are"),
        (field("Nobody"), "of type Nobody"),
        (field({"type": "fixed", "name": "F", "size": 2}), "of type fixed"),
        (field({"type": "int", "logicalType": "time-millis"}), "time-millis"),
        (field({"type": "bytes", "logicalType": "decimal", "precision": 39, "scale": 2}), "precision up to 38"),
        (field({"type": "enum", "name": "E", "symbols": []}), "list its symbols"),
        (field({"type": "enum", "name": "E", "symbols": ["a b"]}), "no valid Avro"),
        (field(nested(4)), "deeper than 3"),
        (schema({"name": "x", "type": ["null", "Purchase"]}), "holds itself"),
        (field("int", default="5"), '`x`: the default "5" must be of type long'),
        (field("int", default=True), "must be of type long"),
        (field("int", default=None), "must be of type long"),
        (field({"type": "enum", "name": "E", "symbols": ["A"]}, default="B"), "must be of type one of A"),
        (field("int").replace("Purchase", "events_api.Discard"), "is ours"),
        (schema(*({"name": f"f{number}", "type": "int"} for number in range(MAX_FIELDS + 1))), "more than 500"),
    ],
)
def test_schema_when_it_cannot_be_used(text: str, said: str) -> None:
    """It is refused in words that say what to change."""
    with pytest.raises(SchemaError) as refused:
        parse_schema(text)

    assert said in str(refused.value)
