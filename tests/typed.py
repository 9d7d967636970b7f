"""Registered schemas and the records that the stream writes by them, for tests of who comes after it."""

import asyncio
import io
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import fastavro
from aiokafka import AIOKafkaProducer

from schemas.codec import SCHEMA_HEADER_BYTES
from schemas.columns import column_type
from schemas.names import column_names, snake_case
from schemas.registered import Column, Registered, Subject, Version
from schemas.schema_log import SchemaLog
from schemas.settings import KafkaSettings
from schemas.topics import Headers
from schemas.typed import parse_schema
from schemas.written import DISCARDS, typed_fields, writer_schema
from tests.sink import envelope, headers

ENVELOPE: dict[str, Any] = json.loads(files("schemas").joinpath("avro/event/v1.avsc").read_text("utf-8"))
PURCHASE: list[dict[str, Any]] = [{"name": "revenue", "type": ["null", "double"], "default": None}]
NOTHING_FITS = {"field": "revenue", "value": '"much"', "wanted": "double", "reason": "is no number"}


def version(
    team: str,
    fields: Sequence[dict[str, Any]] = PURCHASE,
    *,
    event: str = "Purchased an Item",
    number: int = 1,
    major: int = 1,
    writer_id: int = 1_001,
    deleted: bool = False,
) -> Version:
    """A version of the schema of an event, with the columns that its fields have."""
    text = json.dumps({"type": "record", "name": "Purchase", "fields": fields})
    schema = parse_schema(text)
    names = column_names([field.name for field in schema.fields]).columns
    columns = tuple(
        Column(written["name"], names[field.name], column_type(field.type))
        for field, written in zip(schema.fields, typed_fields(schema), strict=True)
    )
    table = snake_case(event) + (f"_v{major}" if major > 1 else "")
    subject = Subject(team, event, major)
    writes = writer_schema(ENVELOPE, schema)
    return Version(subject, number, writer_id - 1, writer_id, text, writes, table, columns, deleted)


async def publish(kafka: KafkaSettings, *versions: Version) -> None:
    """Register, as the registry does when it has stored them."""
    async with AIOKafkaProducer(**kafka.kafka_options(), acks="all") as producer:
        for each in versions:
            await producer.send_and_wait(kafka.topics.schemas, each.encode(), each.key, partition=0)


async def published(kafka: KafkaSettings) -> list[Version]:
    """What stream and sink know of."""
    registered = Registered()
    log = SchemaLog(kafka, "test", registered)
    following = asyncio.create_task(log.follow())
    await log.caught_up()
    following.cancel()
    await asyncio.wait({following})
    return list(registered)


def typed_record(
    written_by: Version, partition: int, raw_offset: int, typed: dict[str, Any], discards: Sequence[dict[str, str]] = ()
) -> tuple[bytes, Headers]:
    """Value and headers of a record that a schema wrote."""
    team = written_by.subject.team
    whose = envelope(partition, raw_offset, team)[SCHEMA_HEADER_BYTES:]
    typed_bytes = _avro({"fields": written_by.writer_schema["fields"][len(ENVELOPE["fields"]) + 1 :]}, typed)
    misfits = _avro({"fields": [DISCARDS]}, {"discards": list(discards)})
    value = b"\x00" + written_by.writer_id.to_bytes(4) + whose + misfits + typed_bytes
    cut = {"envelope_bytes": len(whose), "typed_bytes": len(typed_bytes), "discards": len(discards)}
    added = [(name, str(number).encode()) for name, number in cut.items()]
    return value, [*headers(partition, raw_offset, team), *added]


def _avro(fields: dict[str, Any], values: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema({"type": "record", "name": "Part"} | fields), values)
    return out.getvalue()
