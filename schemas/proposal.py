"""Proposes a schema from events: each member the narrowest type that nearly all of its values fit.

Every field is nullable with the default null, so that it may be left out of a later version, and no event is refused.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.field_types import Kind, Type
from schemas.names import snake_case
from schemas.typed import MAX_DEPTH, MAX_FIELDS, is_member, is_name
from schemas.values.numbers import Misfit
from schemas.values.scalars import scalar

LEAST_SHARE = 0.95
MOST_MEMBERS = 50
"""An object with more different members than that is a map."""

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=str.encode).decode
_DATE = {"type": "int", "logicalType": "date"}
_TIME = {"type": "long", "logicalType": "timestamp-micros"}
_UUID = {"type": "string", "logicalType": "uuid"}
# In the order of preference where several fit as well.
_FOR_TEXTS = [(Kind.BOOLEAN, "boolean"), (Kind.DATE, _DATE), (Kind.TIMESTAMP, _TIME), (Kind.UUID, _UUID)]
_FOR_NUMBERS = [(Kind.LONG, "long"), (Kind.DOUBLE, "double")]


def propose(event: str, samples: Sequence[bytes]) -> dict[str, Any]:
    """A schema for events of a name, in Avro's JSON; its fields are in the order of how many events have them.

    Args:
        event: their name.
        samples: the properties of some of them.
    """
    words = "".join(word.capitalize() for word in snake_case(event).split("_"))
    name = words if is_name(words) else f"Event{words}"
    return {
        "type": "record",
        "name": name,
        "fields": _Proposal().fields([_decode(properties) for properties in samples], 0, name),
    }


class _Proposal:
    """Counts the fields that it has made."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def fields(self, objects: Sequence[dict[str, Any]], depth: int, path: str) -> list[dict[str, Any]]:
        """A field for each member that has a value somewhere and may have a field."""
        members = Counter(member for each in objects for member, value in each.items() if value is not None)
        fields, names = [], set[str]()
        for member, _ in members.most_common():
            if not is_member(member) or self._left <= 0:
                continue
            self._left -= 1
            name = member if is_name(member) else snake_case(member)
            while name in names:
                name += "_"
            names.add(name)
            values = [each[member] for each in objects if each.get(member) is not None]
            of = self._type(values, depth, f"{path}_{name}")
            renamed = {} if name == member else {"property": member}
            fields.append({"name": name, **renamed, "type": ["null", of], "default": None})
        return fields

    def _type(self, values: list[Any], depth: int, path: str) -> object:
        objects = [value for value in values if type(value) is dict]
        arrays = [value for value in values if type(value) is list]
        if depth < MAX_DEPTH and len(objects) >= LEAST_SHARE * len(values):
            return self._object(objects, depth + 1, path)
        if depth < MAX_DEPTH and len(arrays) >= LEAST_SHARE * len(values):
            items = [item for array in arrays for item in array if item is not None]
            return {"type": "array", "items": self._type(items, depth + 1, path) if items else "string"}
        return _scalar(values)

    def _object(self, objects: list[dict[str, Any]], depth: int, path: str) -> object:
        if len({member for each in objects for member in each}) <= MOST_MEMBERS and (
            fields := self.fields(objects, depth, path)
        ):
            return {"type": "record", "name": path, "fields": fields}
        values = [value for each in objects for value in each.values() if value is not None]
        return {"type": "map", "values": self._type(values, depth, path) if values else "string"}


def _scalar(values: list[Any]) -> object:
    """A string where no narrower type fits nearly all; digits in quotes are a name, but beside real numbers."""
    has_numbers = any(type(value) in {int, bytes} for value in values)
    narrow = [value for value in values if not isinstance(value, str) or has_numbers or _is_fraction(value)]
    # Numbers in quotes could be times, but hardly are.
    texts = [value for value in values if type(value) is bool or (type(value) is str and not _is_number(value))]
    fits = [(_fitting(kind, texts), of) for kind, of in _FOR_TEXTS]
    fits += [(_fitting(kind, narrow), of) for kind, of in _FOR_NUMBERS]
    most, best = max(fits, key=lambda each: each[0])
    return best if most >= LEAST_SHARE * len(values) else "string"


def _is_number(value: str) -> bool:
    return value.replace(".", "", 1).isdigit()


def _is_fraction(value: str) -> bool:
    return "." in value and not value.startswith("00")


def _fitting(kind: Kind, values: list[Any]) -> int:
    encode, fitting = scalar(Type(kind)), 0
    for value in values:
        try:
            encode(value)
        except Misfit:
            continue
        fitting += 1
    return fitting
