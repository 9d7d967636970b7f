"""Versions of schemas, as the registry publishes them."""

import json
from importlib.resources import files
from typing import Any

from schemas.registered import Subject, Version
from schemas.typed import parse_schema
from schemas.written import writer_schema

ENVELOPE: dict[str, Any] = json.loads(files("schemas").joinpath("avro/event/v1.avsc").read_text("utf-8"))


def version(
    event: str,
    fields: list[dict[str, Any]],
    writer_id: int = 1_001,
    number: int = 1,
    *,
    team: str = "demo",
    deleted: bool = False,
) -> Version:
    """A version whose record has these fields; without columns, which the stream does not ask for."""
    text = json.dumps({"type": "record", "name": "Typed", "fields": fields})
    return Version(
        Subject(team, event),
        number,
        writer_id - 1,
        writer_id,
        text,
        writer_schema(ENVELOPE, parse_schema(text)),
        "typed",
        (),
        deleted,
    )
