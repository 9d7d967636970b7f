"""Whether versions of a team's schema can read each other, in words for whoever changes one.

FULL_TRANSITIVE: a new version reads what each older one wrote and the other way round, since consumers lag and replays
read old records.  The rules are those of Avro's own package; the words are ours, and so is the rule that a field stays
in its column, of which Avro knows nothing.
"""

import json
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityResult, SchemaCompatibilityType
from avro.errors import AvroException

from schemas.columns import column_type
from schemas.field_types import ABSENT, Field, Kind, Type, TypedSchema
from schemas.typed import SchemaError

_TYPES = re.compile(r"reader type: (\w+) not compatible with writer type: (\w+)")
_FIELD = re.compile(r"/fields/(\d+)")


class Direction(StrEnum):
    """Who has to read what."""

    BACKWARD = "BACKWARD"
    """The new version reads what older ones wrote."""
    FORWARD = "FORWARD"
    """Older versions read what the new one writes."""
    FULL = "FULL"


def problems(
    new: TypedSchema, older: Sequence[tuple[str, TypedSchema]], direction: Direction = Direction.FULL
) -> list[str]:
    """Why a new version is not compatible with older ones; nothing where it is.

    Args:
        new: the version to be.
        older: each with what to call it, such as `version 1`.
        direction: who has to read what.

    Raises:
        SchemaError: where Avro's own package cannot read one of them.
    """
    found: dict[str, list[str]] = {}
    for called, old in older:
        for problem in _between(new, old, direction):
            found.setdefault(problem, []).append(called)
    return [f"{problem} ({_all_of(called)})" for problem, called in found.items()]


def _all_of(called: list[str]) -> str:
    """With which versions a problem is; a subject may have hundreds."""
    return called[0] if len(called) == 1 else f"{called[0]} and {len(called) - 1} more"


def moved(field: Field, has: str) -> str:
    """Why a field's values would need another column, in words; empty where they stay in theirs.

    Args:
        field: of the version to be.
        has: the type of the column that the field has already.
    """
    wanted = column_type(field.type)
    if wanted == has:
        return ""
    advice = ": a record keeps its fields as they are; put new ones beside it" if "Tuple(" in has else ""
    return f"`{field.name}` would need a column of type {wanted}, and has one of {has}{advice}"


def _between(new: TypedSchema, old: TypedSchema, direction: Direction) -> list[str]:
    backward = [] if direction is Direction.FORWARD else list(_refusals(new, old))
    forward = [] if direction is Direction.BACKWARD else list(_refusals(old, new))
    refusals = [*backward, *forward]
    if refusals and direction is not Direction.FULL:
        return list(dict.fromkeys(refusals))
    if not refusals:
        return list(_moved(new, old))
    if new.name.rpartition(".")[2] != old.name.rpartition(".")[2]:
        return [f"the record was named {old.name} and is named {new.name} now: keep its name"]
    return list(dict.fromkeys(_changes(new.fields, old.fields, ""))) or list(dict.fromkeys(refusals))


def _refusals(reader: TypedSchema, writer: TypedSchema) -> Iterator[str]:
    """What Avro says of one reading what the other wrote."""
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # the package leaves it out
    result: SchemaCompatibilityResult = checker.get_compatibility(_parsed(reader), _parsed(writer))
    if result.compatibility is not SchemaCompatibilityType.compatible:
        places = " and ".join(sorted(f"`{_place(reader, location)}`" for location in result.locations))
        for message in sorted(result.messages):
            types = _TYPES.search(message)
            why = f"who reads {types[1].lower()} cannot read {types[2].lower()}" if types else message
            yield f"{places}: {why}"


def _parsed(schema: TypedSchema) -> avro.schema.Schema:
    try:
        return avro.schema.parse(json.dumps(schema.document))
    except AvroException as error:
        raise SchemaError(f"The schema is no valid Avro: {error}") from error


def _place(schema: TypedSchema, location: str) -> str:
    """The first field on the way to a location, such as `/fields/0/type`; else the schema."""
    found = _FIELD.search(location)
    return schema.fields[int(found[1])].name if found else schema.name


def _moved(new: TypedSchema, old: TypedSchema) -> Iterator[str]:
    """What Avro takes, and a column does not."""
    before = {field.name: field for field in old.fields}
    for field in new.fields:
        was = before.get(field.name)
        if was is not None and (words := moved(field, column_type(was.type))):
            yield from list(_type_changed(field.type, was.type, field.name)) or [words]


def _changes(new: tuple[Field, ...], old: tuple[Field, ...], path: str) -> Iterator[str]:
    """What people change, in words."""
    before = {field.name: field for field in old}
    after = {field.name: field for field in new}
    for name, field in before.items():
        if name not in after and field.default is ABSENT:
            yield f"`{path}{name}` was removed and has no default: who reads by the older version cannot fill it"
    for name, field in after.items():
        where = f"{path}{name}"
        if name not in before:
            if field.default is ABSENT:
                yield f"`{where}` was added without a default: older events cannot fill it; give it one"
            continue
        was = before[name]
        if field.nullable != was.nullable:
            yield (
                f"`{where}` {'was not nullable and is' if field.nullable else 'was nullable and is not'} now: "
                "who reads the one cannot read the other"
            )
        yield from _type_changed(field.type, was.type, where)


def _type_changed(new: Type, old: Type, where: str) -> Iterator[str]:
    if new.kind is not old.kind or new.scale != old.scale:
        yield f"`{where}` was {_named(old)} and is {_named(new)} now: its column cannot hold both"
    elif new.kind is Kind.ENUM and set(new.symbols) != set(old.symbols):
        gone = [f"lost {symbol}" for symbol in old.symbols if symbol not in new.symbols]
        come = [f"gained {symbol}" for symbol in new.symbols if symbol not in old.symbols]
        yield f"`{where}` {' and '.join(gone + come)}: readers of the other do not know it; a string takes any"
    elif new.item is not None and old.item is not None:
        yield from _type_changed(new.item, old.item, f"{where}[]")
    else:
        yield from _changes(new.fields, old.fields, f"{where}.")


def _named(of: Type) -> str:
    return f"a decimal with {of.scale} digits after the point" if of.kind is Kind.DECIMAL else f"of type {of.kind}"
