"""What the stream writes for a team's schema: the envelope's fields, the discards, the typed fields.

Each typed field is the widest type of its kind and nullable, so that neither a value that does not fit nor a later
version ever needs another column.
"""

from typing import Any

from schemas.field_types import Kind, Type, TypedSchema
from schemas.names import RESERVED, column_names

OWN_NAMESPACE = "events_api"
DISCARD_FIELDS = ("field", "value", "wanted", "reason")
DISCARDS = {
    "name": "discards",
    "type": {
        "type": "array",
        "items": {
            "type": "record",
            "name": "Discard",
            "namespace": OWN_NAMESPACE,
            "fields": [{"name": name, "type": "string"} for name in DISCARD_FIELDS],
        },
    },
    "doc": "What did not fit its type and is null here",
}


def typed_fields(schema: TypedSchema) -> list[dict[str, Any]]:
    """The fields that hold the typed values in what the stream writes, in Avro's JSON: each null where nothing fits.

    A field has its own name, but where that is one of ours it has its column's.
    """
    columns = column_names([field.name for field in schema.fields]).columns
    seen: set[str] = set()
    return [
        {
            "name": columns[field.name] if field.name in RESERVED else field.name,
            "type": ["null", written(field.type, seen)],
            "default": None,
        }
        for field in schema.fields
    ]


def writer_schema(envelope: dict[str, Any], schema: TypedSchema) -> dict[str, Any]:
    """The schema of a normalized record: the envelope's fields, the discards, the typed fields.

    Args:
        envelope: the envelope's schema, in Avro's JSON.
        schema: what the team registered.
    """
    namespace, _, name = schema.name.rpartition(".")
    return {
        "type": "record",
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "fields": [*envelope["fields"], DISCARDS, *typed_fields(schema)],
    }


_PLAIN = {
    Kind.BOOLEAN: "boolean",
    Kind.LONG: "long",
    Kind.DOUBLE: "double",
    Kind.STRING: "string",
    Kind.BYTES: "bytes",
    Kind.ENUM: "string",
}
_LOGICAL = {
    Kind.UUID: {"type": "string", "logicalType": "uuid"},
    Kind.DATE: {"type": "int", "logicalType": "date"},
    Kind.TIMESTAMP: {"type": "long", "logicalType": "timestamp-micros"},
}


def written(of: Type, seen: set[str]) -> str | dict[str, Any]:
    """A type as it is written, in Avro's JSON; a record that was seen before is called by its name."""
    if of.kind in _PLAIN:
        return _PLAIN[of.kind]
    if of.kind is Kind.DECIMAL:
        return {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": of.scale}
    if of.item is not None:
        holds = "items" if of.kind is Kind.ARRAY else "values"
        return {"type": of.kind.value, holds: ["null", written(of.item, seen)]}
    if of.kind is not Kind.RECORD:
        return dict(_LOGICAL[of.kind])
    if of.name in seen:
        return of.name
    seen.add(of.name)
    # An empty namespace keeps a name without one from taking that of the record around it.
    namespace, _, name = of.name.rpartition(".")
    fields = [{"name": field.name, "type": ["null", written(field.type, seen)], "default": None} for field in of.fields]
    return {"type": "record", "name": name, "namespace": namespace, "fields": fields}
