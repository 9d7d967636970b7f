"""How well events fit a schema: counted by the very code that will coerce them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.errors import InvalidEvent
from schemas.field_types import TypedSchema
from schemas.values.coerce import Coercion, Discard

MOST_EXAMPLES = 3
MAX_EXAMPLE_CHARACTERS = 60


@dataclass(slots=True)
class FieldFit:
    """How one field fares.

    Attributes:
        present: events that have its member, and not null.
        misfits: those of them in which it, or something within it, does not fit.
        missing: events that would become dead letters for want of it.
        examples: of values that do not fit, each with why.
    """

    name: str
    wanted: str
    present: int = 0
    misfits: int = 0
    missing: int = 0
    examples: list[str] = field(default_factory=list)


def fit(schema: TypedSchema, samples: Sequence[bytes]) -> list[FieldFit]:
    """Try a schema on the properties of some events."""
    coercion = Coercion(schema)
    found = {each.name: FieldFit(each.name, str(each.type)) for each in schema.fields}
    present: Counter[str] = Counter()
    by_path = {f"properties.{each.member}": found[each.name] for each in schema.fields}
    for properties in samples:
        present.update(member for member, value in msgspec.json.decode(properties).items() if value is not None)
        try:
            discards = coercion.apply(properties).discards
        except InvalidEvent as error:
            by_path[error.field or ""].missing += 1
            continue
        told = [(_field_of(discard), discard) for discard in discards if discard.field]
        for name in {name for name, _ in told}:
            found[name].misfits += 1
        for name, discard in told:
            _show(found[name], f"{discard.value} {discard.reason}")
    for each in schema.fields:
        found[each.name].present = present[each.member]
    return list(found.values())


def _field_of(discard: Discard) -> str:
    """The field that a discard lies in: `address` of `address.zip`, `tags` of `tags[2]`."""
    return discard.field.partition(".")[0].partition("[")[0]


def _show(fares: FieldFit, example: str) -> None:
    if len(fares.examples) < MOST_EXAMPLES and example not in fares.examples:
        short = example if len(example) <= MAX_EXAMPLE_CHARACTERS else f"{example[:MAX_EXAMPLE_CHARACTERS]}…"
        fares.examples.append(short)
