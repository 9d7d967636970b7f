"""Defaults of a schema, from Avro's way of writing them into a sender's.

Avro writes a date as a number of days and bytes as text of code points; a sender writes neither so.
"""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from schemas.field_types import ABSENT, Kind, Type

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONG = range(-(1 << 63), 1 << 63)


def default_of(of: Type, default: object, *, nullable: bool) -> object:
    """A default as a sender would write it in JSON.

    Raises:
        ValueError: where it is not of this type; the message goes behind the default.
    """
    if default is None:
        if nullable:
            return None
        raise ValueError(f"must be of type {of}")
    if of.kind is Kind.ARRAY and isinstance(default, list) and of.item:
        return [default_of(of.item, each, nullable=True) for each in default]
    if of.kind is Kind.MAP and isinstance(default, dict) and of.item:
        return {key: default_of(of.item, each, nullable=True) for key, each in default.items()}
    if of.kind is Kind.RECORD and isinstance(default, dict):
        return _record(of, default)
    convert = _CONVERT.get(of.kind)
    converted = None
    if convert is not None:
        try:
            converted = convert(of, default)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"must be of type {of}") from error
    if converted is None:
        raise ValueError(f"must be of type {of}")
    return converted


def _record(of: Type, default: dict[str, object]) -> dict[str, object]:
    members = {}
    for field in of.fields:
        if field.name in default:
            members[field.member] = default_of(field.type, default[field.name], nullable=field.nullable)
        elif field.required:
            raise ValueError(f"lacks {field.name}")
        elif field.default is not ABSENT:
            members[field.member] = field.default
    return members


def _of(*types: type) -> Callable[[Type, object], object]:
    return lambda _, default: default if type(default) in types else None


def _long(_: Type, default: object) -> object:
    return default if type(default) is int and default in _LONG else None


def _bytes(_: Type, default: object) -> object:
    return b64encode(default.encode("latin-1")).decode() if isinstance(default, str) else None


def _enum(of: Type, default: object) -> object:
    return default if default in of.symbols else None


def _uuid(_: Type, default: object) -> object:
    return str(UUID(default)) if isinstance(default, str) else None


def _date(_: Type, default: object) -> object:
    return (date(1970, 1, 1) + timedelta(days=default)).isoformat() if type(default) is int else None


def _timestamp(of: Type, default: object) -> object:
    if type(default) is not int:
        return None
    return (_EPOCH + timedelta(microseconds=default * of.unit_micros)).isoformat()


def _decimal(of: Type, default: object) -> object:
    if not isinstance(default, str):
        return None
    digits = str(int.from_bytes(default.encode("latin-1"), "big", signed=True))
    return str(Decimal(f"{digits}e-{of.scale}"))


_CONVERT: dict[Kind, Callable[[Type, object], object]] = {
    Kind.BOOLEAN: _of(bool),
    Kind.LONG: _long,
    Kind.DOUBLE: _of(int, float),
    Kind.STRING: _of(str),
    Kind.BYTES: _bytes,
    Kind.ENUM: _enum,
    Kind.UUID: _uuid,
    Kind.DATE: _date,
    Kind.TIMESTAMP: _timestamp,
    Kind.DECIMAL: _decimal,
}
