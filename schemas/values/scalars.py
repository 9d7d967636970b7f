"""Single values into the Avro bytes of their typed field, or a misfit.

Each function takes a value of JSON that is not null, a number with a point or an exponent as the bytes of its text, and
gives the bytes of `["null", T]`.
"""

import binascii
import re
import struct
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID

import msgspec

from schemas.field_types import Kind, Type
from schemas.values.avro_bytes import PRESENT, present_long, present_text
from schemas.values.numbers import Misfit, double, unscaled, whole
from schemas.values.times import days, micros

Scalar = Callable[[object], bytes]

_FAST = 1 << 32
_DOUBLE = struct.Struct("<Bd")
_TRUE, _FALSE = PRESENT + b"\x01", PRESENT + b"\x00"
_is_uuid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII).fullmatch
_is_any_uuid = re.compile(
    r"(?:urn:uuid:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}|[0-9a-f]{32}",
    re.ASCII | re.IGNORECASE,
).fullmatch
_encode_json = msgspec.json.Encoder().encode


def scalar(of: Type) -> Scalar:
    """What encodes values of a type."""
    if of.kind is Kind.ENUM:
        return _enum(of.symbols)
    if of.kind is Kind.DECIMAL:
        return _decimal(of.scale)
    return _SCALARS[of.kind]


def json_of(value: object) -> bytes:
    """The JSON of a value, each number as it was written."""
    return value if type(value) is bytes else _encode_json(_encodable(value))


def _encodable(value: object) -> object:
    if type(value) is bytes:
        return msgspec.Raw(value)
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    if isinstance(value, dict):
        return {key: _encodable(each) for key, each in value.items()}
    return value


def _boolean(value: object) -> bytes:
    if value is True or (type(value) is int and value == 1):
        return _TRUE
    if value is False or (type(value) is int and value == 0):
        return _FALSE
    word = value.lower() if isinstance(value, str) else ""
    if word not in {"true", "false"}:
        raise Misfit("is neither true nor false")
    return _TRUE if word == "true" else _FALSE


def _long(value: object) -> bytes:
    return present_long(value if type(value) is int and 0 <= value < _FAST else whole(value))


def _double(value: object) -> bytes:
    return _DOUBLE.pack(2, double(value))


def _string(value: object) -> bytes:
    return present_text(value.encode() if type(value) is str else json_of(value))


def _bytes(value: object) -> bytes:
    if not isinstance(value, str):
        raise Misfit("is no text in base64")
    try:
        return present_text(binascii.a2b_base64(value, strict_mode=True))
    except ValueError as error:
        raise Misfit("is no text in base64") from error


def _uuid(value: object) -> bytes:
    if type(value) is str:
        if _is_uuid(value):
            return b"\x02\x48" + value.encode()
        if _is_any_uuid(value):
            return b"\x02\x48" + str(UUID(value)).encode()
    raise Misfit("is no UUID")


def _date(value: object) -> bytes:
    return _date_of_text(value) if type(value) is str else present_long(days(value))


# Few days, in many events.
@lru_cache(maxsize=4096)
def _date_of_text(text: str) -> bytes:
    return present_long(days(text))


def _timestamp(value: object) -> bytes:
    return present_long(micros(value))


def _enum(symbols: tuple[str, ...]) -> Scalar:
    encoded: dict[object, bytes] = {symbol: present_text(symbol.encode()) for symbol in symbols}

    def encode(value: object) -> bytes:
        found = encoded.get(value) if type(value) is str else None
        if found is None:
            raise Misfit("is none of the symbols")
        return found

    return encode


def _decimal(scale: int) -> Scalar:
    def encode(value: object) -> bytes:
        number = unscaled(value, scale)
        return present_text(number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))

    return encode


_SCALARS: dict[Kind, Scalar] = {
    Kind.BOOLEAN: _boolean,
    Kind.LONG: _long,
    Kind.DOUBLE: _double,
    Kind.STRING: _string,
    Kind.BYTES: _bytes,
    Kind.UUID: _uuid,
    Kind.DATE: _date,
    Kind.TIMESTAMP: _timestamp,
}
