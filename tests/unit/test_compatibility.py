"""Which changes of a schema are compatible, and what is said of those that are not."""

import json
from typing import Any

import pytest

from ingress.registry.draft import Known, draft
from ingress.registry.refusals import Refused
from schemas.compatibility import problems
from schemas.field_types import TypedSchema
from schemas.registered import Subject
from schemas.typed import parse_schema

PRICE = {"name": "price", "type": "double"}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}


def schema(*fields: dict[str, Any], name: str = "Purchase") -> TypedSchema:
    """A schema of these fields."""
    return parse_schema(json.dumps({"type": "record", "name": name, "fields": fields}))


def x(of: object, **more: object) -> dict[str, Any]:
    """One field."""
    return {"name": "x", "type": of} | more


def enum(*symbols: str) -> object:
    """An enum."""
    return {"type": "enum", "name": "E", "symbols": symbols}


def decimal(scale: int) -> object:
    """A decimal."""
    return {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale}


def place(*fields: dict[str, Any]) -> object:
    """A record within."""
    return {"type": "record", "name": "Place", "fields": fields}


def arrays(of: object) -> object:
    """An array."""
    return {"type": "array", "items": of}


COMPATIBLE = [
    (schema(PRICE), schema(PRICE)),
    (schema(PRICE, NOTE), schema(PRICE)),
    (schema(PRICE), schema(PRICE, NOTE)),
    (schema(NOTE, PRICE), schema(PRICE, NOTE)),
    (schema(x(["null", "int"])), schema(x(["int", "null"]))),
    (schema(PRICE | {"doc": "gross"}), schema(PRICE)),
]
INCOMPATIBLE = [
    (schema(NOTE), schema(PRICE, NOTE), "`price` was removed and has no default"),
    (schema(PRICE, NOTE), schema(NOTE), "`price` was added without a default"),
    (schema(x("int")), schema(x(["null", "int"])), "`x` was nullable and is not now"),
    (schema(x(["null", "int"])), schema(x("int")), "`x` was not nullable and is now"),
    (schema(x("string")), schema(x("double")), "`x` was of type double and is of type string now"),
    (schema(x("long")), schema(x("int")), "`x`: who reads int cannot read long"),
    (schema(x(enum("A"))), schema(x(enum("A", "B"))), "`x` lost B"),
    (schema(x(enum("A", "B"))), schema(x(enum("A"))), "`x` gained B"),
    (schema(x({"type": "long", "logicalType": "timestamp-millis"})), schema(x("long")), "is of type timestamp now"),
    (schema(x(decimal(4))), schema(x(decimal(2))), "2 digits after the point and is a decimal with 4 digits"),
    (schema(x({"type": "array", "items": "int"})), schema(x({"type": "array", "items": "string"})), "`x[]` was"),
    (schema(x(place(NOTE))), schema(x(place(PRICE, NOTE))), "`x.price` was removed"),
    (
        schema(x(place({"name": "at", "type": decimal(1)}))),
        schema(x(place({"name": "at", "type": decimal(2)}))),
        "`x.at` was a decimal with 2",
    ),
    (schema(PRICE, name="Sale"), schema(PRICE, name="Purchase"), "was named Purchase and is named Sale"),
    (schema(x(place(PRICE, NOTE))), schema(x(place(PRICE))), "put new ones beside it"),
    (schema(x(place(NOTE, PRICE))), schema(x(place(PRICE, NOTE))), "`x` would need a column of type Tuple("),
    (schema(x(arrays(place(PRICE, NOTE)))), schema(x(arrays(place(PRICE)))), "put new ones beside it"),
]


@pytest.mark.parametrize(("new", "old"), COMPATIBLE)
def test_change_when_it_is_compatible(new: TypedSchema, old: TypedSchema) -> None:
    """There is nothing to say."""
    assert problems(new, [("version 1", old)]) == []


@pytest.mark.parametrize(("new", "old", "said"), INCOMPATIBLE)
def test_change_when_it_is_not_compatible(new: TypedSchema, old: TypedSchema, said: str) -> None:
    """One line says of which field, why, and with which version; no line is empty of words."""
    (problem,) = problems(new, [("version 1", old)])

    assert said in problem
    assert problem.endswith("(version 1)")


def test_change_when_there_are_several_versions() -> None:
    """It must be compatible with each of them, not with the last alone."""
    versions = [("version 1", schema(x("int", default=1))), ("version 2", schema(NOTE))]

    found = problems(schema(NOTE, x("string", default="")), versions)

    assert len(found) == 1
    assert "(version 1)" in found[0]


@pytest.mark.parametrize(("new", "old"), [*COMPATIBLE, *((new, old) for new, old, _ in INCOMPATIBLE)])
def test_change_when_the_registry_is_asked(new: TypedSchema, old: TypedSchema) -> None:
    """What has no problem is taken, and what has one is refused in the same words."""
    subject = Subject("acme", "Purchase")
    first = draft(subject, json.dumps(old.document), old, Known()).version(1_000, 1_001)

    try:
        draft(subject, json.dumps(new.document), new, Known(versions=(first,)))
        said: list[str] = []
    except Refused as refused:
        said = [*refused.details]

    assert said == problems(new, [("version 1", old)])
