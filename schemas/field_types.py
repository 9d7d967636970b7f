"""What a team's schema says of the fields of one event, with all widths of one kind of value taken together."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a field holds, whatever its width was in the schema."""

    BOOLEAN = "boolean"
    LONG = "long"
    DOUBLE = "double"
    STRING = "string"
    BYTES = "bytes"
    ENUM = "enum"
    UUID = "uuid"
    DATE = "date"
    TIMESTAMP = "timestamp"
    DECIMAL = "decimal"
    ARRAY = "array"
    MAP = "map"
    RECORD = "record"


class Absent:
    """No default: null is one, too."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value.

    Attributes:
        symbols: of an enum.
        scale: digits after the point of a decimal.
        unit_micros: of a timestamp, the microseconds in one unit of a number in the schema.
        item: what an array or a map holds.
        name: of a record, with its namespace.
        fields: of a record.
    """

    kind: Kind
    symbols: tuple[str, ...] = ()
    scale: int = 0
    unit_micros: int = 1
    item: "Type | None" = None
    name: str = ""
    fields: tuple["Field", ...] = ()

    def __str__(self) -> str:
        """As a discard says what was wanted."""
        if self.kind is Kind.ENUM:
            return f"one of {', '.join(self.symbols)}"
        if self.kind is Kind.DECIMAL:
            return f"decimal with {self.scale} digits after the point"
        if self.item is not None:
            return f"{self.kind} of {self.item}"
        return self.kind.value


@dataclass(frozen=True, slots=True)
class Field:
    """One typed field.

    Attributes:
        name: its Avro name.
        member: the member of `properties`, or of the object around it, that it is filled from.
        nullable: whether the schema has it as `["null", T]`.
        default: as a sender would write it in JSON; ABSENT where there is none.
    """

    name: str
    member: str
    type: Type
    nullable: bool
    default: object = ABSENT

    @property
    def required(self) -> bool:
        """Whether an event must have it."""
        return not self.nullable and self.default is ABSENT


@dataclass(frozen=True, slots=True)
class TypedSchema:
    """What a team registers for one event.

    Attributes:
        name: of the record, with its namespace.
        document: the Avro schema as it was written.
    """

    name: str
    fields: tuple[Field, ...]
    document: dict[str, Any]


def all_fields(fields: tuple[Field, ...]) -> Iterator[Field]:
    """Fields, and those of the records in them."""
    for field in fields:
        yield field
        inner: Type | None = field.type
        while inner is not None:
            yield from all_fields(inner.fields)
            inner = inner.item
