"""Parses a team's schema of one event: an Avro record of its typed fields.

What cannot become a column is refused here, in words for whoever wrote the schema; whatever is parsed can be written.
"""

import json
import re
from typing import Any, NoReturn

import fastavro
from fastavro.schema import SchemaParseException

from schemas.field_types import Field, Kind, Type, TypedSchema, all_fields
from schemas.typed_defaults import default_of
from schemas.written import OWN_NAMESPACE, writer_schema

MAX_FIELDS = 500
MAX_DEPTH = 3
MAX_MEMBER_CHARACTERS = 200
MAX_PRECISION = 38
is_name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII).fullmatch
"""Whether a text may be a name in Avro."""
_NO_MEMBER = re.compile(r'["\\\x00-\x1f]')
_PRIMITIVES = {
    "boolean": Kind.BOOLEAN,
    "int": Kind.LONG,
    "long": Kind.LONG,
    "float": Kind.DOUBLE,
    "double": Kind.DOUBLE,
    "string": Kind.STRING,
    "bytes": Kind.BYTES,
}
_LOGICAL = {
    ("string", "uuid"): Type(Kind.UUID),
    ("int", "date"): Type(Kind.DATE),
    ("long", "timestamp-millis"): Type(Kind.TIMESTAMP, unit_micros=1_000),
    ("long", "timestamp-micros"): Type(Kind.TIMESTAMP),
    ("long", "local-timestamp-millis"): Type(Kind.TIMESTAMP, unit_micros=1_000),
    ("long", "local-timestamp-micros"): Type(Kind.TIMESTAMP),
}


class SchemaError(ValueError):
    """A schema that cannot be used; the message is for whoever wrote it."""


def is_member(name: str) -> bool:
    """Whether a field may be filled from the member of this name: msgspec does not take every one."""
    return 0 < len(name) <= MAX_MEMBER_CHARACTERS and not _NO_MEMBER.search(name)


def parse_schema(text: str | bytes) -> TypedSchema:
    """Parse and check a schema.

    Raises:
        SchemaError: saying which field to change, and how.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"The schema is no JSON: {error}.") from error
    if not isinstance(document, dict) or document.get("type") != "record":
        raise SchemaError('The schema must be an Avro record: {"type": "record", "name": …, "fields": […]}.')
    parser = _Parser()
    record = parser.record(document, "", "", 0)
    if sum(1 for _ in all_fields(record.fields)) > MAX_FIELDS:
        raise SchemaError(f"The schema has more than {MAX_FIELDS} fields.")
    schema = TypedSchema(record.name, record.fields, document)
    try:
        fastavro.parse_schema(document)
        fastavro.parse_schema(writer_schema({"fields": []}, schema))
    except (SchemaParseException, ValueError, TypeError, KeyError) as error:
        raise SchemaError(f"The schema is no valid Avro: {error}") from error
    return schema


class _Parser:
    """Knows the named types that it has met."""

    def __init__(self) -> None:
        self._named: dict[str, Type | None] = {}

    def record(self, schema: dict[str, Any], path: str, namespace: str, depth: int) -> Type:
        """A record with its fields."""
        where = path or "The schema"
        name, namespace = self._claim(schema, where, namespace)
        listed = schema.get("fields")
        if not isinstance(listed, list) or not listed:
            raise SchemaError(f"{where} must have fields.")
        fields = tuple(self._field(each, path, namespace, depth) for each in listed)
        for what, values in (("named", [each.name for each in fields]), ("for", [each.member for each in fields])):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise SchemaError(f"{where} has more than one field {what} {twice[0]!r}.")
        self._named[name] = record = Type(Kind.RECORD, name=name, fields=fields)
        return record

    def _field(self, schema: object, path: str, namespace: str, depth: int) -> Field:
        name = schema.get("name") if isinstance(schema, dict) else None
        if not isinstance(schema, dict) or not isinstance(name, str) or not is_name(name):
            raise SchemaError(
                f"{name!r} cannot name a field: it must be letters, digits and _, not beginning with a digit; "
                'where the member is called otherwise, say so: {"name": "order_total", "property": "Order Total"}.'
            )
        where = f"{path}.{name}" if path else name
        member = schema.get("property", name)
        if not isinstance(member, str) or not is_member(member):
            raise SchemaError(
                f"`{where}`: property must be 1 to {MAX_MEMBER_CHARACTERS} characters without quotes and backslashes."
            )
        if "type" not in schema:
            raise SchemaError(f"`{where}` has no type.")
        of, nullable = self._nullable(schema["type"], where, namespace, depth)
        if "default" not in schema:
            return Field(name, member, of, nullable)
        try:
            return Field(name, member, of, nullable, default_of(of, schema["default"], nullable=nullable))
        except ValueError as error:
            raise SchemaError(f"`{where}`: the default {json.dumps(schema['default'])} {error}.") from error

    def _nullable(self, schema: object, where: str, namespace: str, depth: int) -> tuple[Type, bool]:
        """A type, and whether it may be null."""
        if not isinstance(schema, list):
            return self._type(schema, where, namespace, depth), False
        others = [each for each in schema if each != "null"]
        if len(schema) != 2 or len(others) != 1:
            raise SchemaError(
                f'`{where}` is a union of {json.dumps(schema)}: only ["null", T] can be a column.  '
                "Choose one type; a string takes numbers, objects and arrays too, as their JSON."
            )
        return self._type(others[0], where, namespace, depth), True

    def _type(self, schema: object, where: str, namespace: str, depth: int) -> Type:
        if isinstance(schema, str):
            return self._by_name(schema, where, namespace, depth)
        kind = schema.get("type") if isinstance(schema, dict) else None
        if not isinstance(schema, dict) or not isinstance(kind, str):
            if isinstance(kind, dict):
                return self._type(kind, where, namespace, depth)
            raise SchemaError(f"`{where}` has a type that is none of Avro's: {json.dumps(schema)}.")
        if kind in {"record", "array", "map"}:
            return self._container(schema, kind, where, namespace, depth + 1)
        if kind == "enum":
            return self._enum(schema, where, namespace)
        if kind not in _PRIMITIVES or "logicalType" not in schema:
            return self._by_name(kind, where, namespace, depth)
        return _logical(schema, kind, where)

    def _container(self, schema: dict[str, Any], kind: str, where: str, namespace: str, depth: int) -> Type:
        if depth > MAX_DEPTH:
            raise SchemaError(f"`{where}` nests deeper than {MAX_DEPTH} levels; a string takes it as its JSON.")
        if kind == "record":
            return self.record(schema, where, namespace, depth)
        holds = "items" if kind == "array" else "values"
        if holds not in schema:
            raise SchemaError(f"`{where}` must say what its {holds} are.")
        item, _ = self._nullable(schema[holds], f"{where}[]", namespace, depth)
        return Type(Kind(kind), item=item)

    def _enum(self, schema: dict[str, Any], where: str, namespace: str) -> Type:
        name, _ = self._claim(schema, where, namespace)
        symbols = schema.get("symbols")
        if not isinstance(symbols, list) or not symbols or not all(isinstance(each, str) for each in symbols):
            raise SchemaError(f"`{where}` must list its symbols.")
        self._named[name] = enum = Type(Kind.ENUM, symbols=tuple(symbols))
        return enum

    def _by_name(self, name: str, where: str, namespace: str, depth: int) -> Type:
        """A primitive type, or one that was defined before."""
        if name in _PRIMITIVES:
            return Type(_PRIMITIVES[name])
        known = name if name in self._named or not namespace else f"{namespace}.{name}"
        if known not in self._named:
            _refuse(name, where)
        found = self._named[known]
        if found is None:
            raise SchemaError(f"`{where}` holds itself; a string takes it as its JSON.")
        if depth + _levels(found) > MAX_DEPTH:
            raise SchemaError(f"`{where}` nests deeper than {MAX_DEPTH} levels; a string takes it as its JSON.")
        return found

    def _claim(self, schema: dict[str, Any], where: str, around: str) -> tuple[str, str]:
        """The full name and the namespace of a type that is defined here."""
        name, namespace = schema.get("name"), schema.get("namespace", around)
        if not isinstance(name, str) or not isinstance(namespace, str):
            raise SchemaError(f"{where} must have a name.")
        if "." in name:
            namespace, _, name = name.rpartition(".")
        if not all(is_name(part) for part in [name, *filter(None, namespace.split("."))]):
            raise SchemaError(
                f"{name!r} cannot name a type: it must be letters, digits and _, not beginning with a digit."
            )
        if namespace == OWN_NAMESPACE:
            raise SchemaError(f"{where}: the namespace {OWN_NAMESPACE} is ours; choose another one.")
        full = f"{namespace}.{name}" if namespace else name
        if full in self._named:
            raise SchemaError(f"{where}: there are two types named {full}.")
        self._named[full] = None
        return full, namespace


def _logical(schema: dict[str, Any], kind: str, where: str) -> Type:
    logical = schema["logicalType"]
    if (kind, logical) in _LOGICAL:
        return _LOGICAL[kind, logical]
    if (kind, logical) != ("bytes", "decimal"):
        _refuse(f"{kind} with logicalType {logical}", where)
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision <= MAX_PRECISION:
        raise SchemaError(f"`{where}`: a decimal must have a precision up to {MAX_PRECISION} and a scale up to that.")
    return Type(Kind.DECIMAL, scale=scale)


def _levels(of: Type) -> int:
    """How deep a type nests."""
    inner = [field.type for field in of.fields] + ([of.item] if of.item else [])
    return max((_levels(each) for each in inner), default=0) + bool(inner)


def _refuse(name: str, where: str) -> NoReturn:
    raise SchemaError(
        f"`{where}` is of type {name}, which cannot be a column: use boolean, int, long, float, double, string, bytes, "
        "enum, array, map, record, or one of these with the logicalType uuid, date, timestamp-millis, timestamp-micros "
        "or decimal."
    )
