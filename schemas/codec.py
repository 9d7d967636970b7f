"""Avro bytes: the Confluent wire format of a record, and the container that carries records into ClickHouse.

The wire format is 0x00, the schema id (4 bytes, big endian), the Avro body.  A container is built around bodies that
are already encoded; nothing is decoded on the way into the warehouse.
Sources: Confluent "Wire format"; Avro 1.12 specification, "Object Container Files".
"""

import io
import json
import struct
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import fastavro

SCHEMA_HEADER_BYTES = 5
ENVELOPE_SCHEMA_ID = 1
DISCARDS_SCHEMA_ID = 2
"""Of an envelope with discards behind it.  Another registry than ours gives both other ids."""
_MAGIC = 0
_HEADER = struct.Struct(">BI")
_SYNC_BYTES = 16
# No team's type is called so: the namespace is ours.
_ROW = {"name": "Row", "namespace": "events_api"}


def _released(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(files("schemas").joinpath("avro/event", name).read_text("utf-8"))
    return schema


_ENVELOPE, _WITH_DISCARDS = _released("v1.avsc"), _released("v2.avsc")
_PARSED_ENVELOPE = fastavro.parse_schema(_ENVELOPE)
ENVELOPE_FIELDS: tuple[str, ...] = tuple(field["name"] for field in _ENVELOPE["fields"])


def encode_envelope(event: dict[str, Any]) -> bytes:
    """The body of one normalized event.  Times are microseconds since 1970; absent members take their default."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _PARSED_ENVELOPE, event)
    return out.getvalue()


def decode_envelope(value: bytes) -> dict[str, Any]:
    """The event in a value in wire format, for tests and tools; times come back as aware datetimes.

    Raises:
        ValueError: where the value is not of the envelope's schema, by our own registry's id.
    """
    if schema_id(value) != ENVELOPE_SCHEMA_ID:
        raise ValueError(f"schema id {schema_id(value)} is not the envelope's")
    body = io.BytesIO(value[SCHEMA_HEADER_BYTES:])
    decoded = fastavro.schemaless_reader(body, _PARSED_ENVELOPE, None)
    assert isinstance(decoded, dict)  # noqa: S101 - a record schema decodes to a dict
    return decoded


def schema_id(value: bytes) -> int:
    """The id of the schema that wrote this value.

    Raises:
        ValueError: where the value is not in wire format.
    """
    if len(value) < SCHEMA_HEADER_BYTES or value[0] != _MAGIC:
        raise ValueError("not in Confluent wire format")
    return int.from_bytes(value[1:SCHEMA_HEADER_BYTES], "big")


def wire_header(schema_id: int) -> bytes:
    """What stands before the body of a value of this schema."""
    return _HEADER.pack(_MAGIC, schema_id)


class Container:
    """Builds Avro object containers of one schema, as ClickHouse's `FORMAT Avro` reads them.

    ClickHouse matches fields to columns by name, so fields whose column is named otherwise are renamed in the
    container's schema; the bytes of a record do not carry names and stay as they are.

    Attributes:
        columns: those to insert; ClickHouse passes over the other fields.
    """

    def __init__(self, schema: dict[str, Any], renamed: dict[str, str], columns: Sequence[str] | None = None) -> None:
        fields = [field | {"name": renamed.get(field["name"], field["name"])} for field in schema["fields"]]
        self.columns: tuple[str, ...] = tuple(columns or (field["name"] for field in fields))
        head = io.BytesIO()
        fastavro.writer(head, fastavro.parse_schema(schema | {**_ROW, "fields": fields}), [])
        self._head = head.getvalue()
        self._sync = self._head[-_SYNC_BYTES:]

    def build(self, bodies: Sequence[bytes]) -> bytes:
        """One container around Avro bodies, as one block."""
        block = b"".join(bodies)
        return b"".join((self._head, _zigzag(len(bodies)), _zigzag(len(block)), block, self._sync))


_PLACE = {"raw_partition": "_raw_partition", "raw_offset": "_raw_offset"}
_WHOSE = ("event_id", "user_id", "anonymous_id", "occurred_at", "sent_at", "received_at")
ENVELOPE_CONTAINER = Container(_ENVELOPE, _PLACE)
DISCARDS_CONTAINER = Container(_WITH_DISCARDS, _PLACE, ("team", "event", *_WHOSE, "discards", *_PLACE.values()))


def typed_container(writer_schema: dict[str, Any], columns: Mapping[str, str]) -> Container:
    """The container of whole records for a typed table, whose columns are given by the field that fills them."""
    return Container(writer_schema, {**_PLACE, **columns}, (*_WHOSE, *columns.values(), *_PLACE.values()))


def _zigzag(number: int) -> bytes:
    """Avro's variable-length encoding of a non-negative long."""
    number, out = number << 1, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
