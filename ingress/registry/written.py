"""What the mirror registers at an external registry, so that every id which the stream writes resolves there.  Pure.

Its subjects begin with a word that can be no team, so that the mirror never takes its own for somebody's event.
"""

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

from ingress.registry.draft import Draft
from schemas.codec import ENVELOPE_FIELDS
from schemas.registered import ENVELOPE, WITH_DISCARDS, Subject

_PREFIX = "events-api"
ENVELOPE_SUBJECT = f"{_PREFIX}.envelope"
_ENVELOPES = (ENVELOPE, WITH_DISCARDS)


def envelope_schemas() -> dict[int, dict[str, Any]]:
    """Each version of the envelope."""
    texts = {each: files("schemas").joinpath(f"avro/event/v{each}.avsc").read_text("utf-8") for each in _ENVELOPES}
    return {number: _without_defaults(json.loads(text)) for number, text in texts.items()}


def written_subject(subject: Subject) -> str:
    """Where the writer schemas of a team's subject are registered."""
    return f"{_PREFIX}.{subject}"


def mirrored(made: Draft, number: int) -> Draft:
    """A draft as the version of this number there.

    Its writer schema says whose it is: a registry has one id for equal schemas, and the sink tells by the id where a
    record belongs.
    """
    whose = {"doc": f"What events.normalized carries of {made.subject}, version {number}"}
    return replace(made, number=number, writer_schema=_without_defaults(made.writer_schema) | whose)


def _without_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """Without those of the envelope's fields, which every record has: Apicurio 3.3 takes no default of `{}`."""
    fields = [
        {name: member for name, member in field.items() if name != "default" or field["name"] not in ENVELOPE_FIELDS}
        for field in schema["fields"]
    ]
    return schema | {"fields": fields}
