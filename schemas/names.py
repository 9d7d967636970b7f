"""Names of columns and tables, made from the names that senders and teams have chosen.

A name once given stays: who adds a field later never renames the column of another one.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from unicodedata import normalize

MAX_NAME_CHARACTERS = 63
_SUFFIX_CHARACTERS = 6
_ENVELOPE = json.loads(files("schemas").joinpath("avro/event/v1.avsc").read_text("utf-8"))
RESERVED = frozenset(
    {field["name"] for field in _ENVELOPE["fields"]} | {"properties", "context", "inserted_at", "discards"}
)
"""Names that columns and fields of ours have."""
TABLES_OF_OURS = frozenset({"events", "discards", "dead_letters"})
"""What a team's database holds beside its typed tables."""
ALL_MAJORS = "_all"
"""What the name of a view over the tables of all majors ends in."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """What the columns of some fields are called.

    Attributes:
        columns: the column of each field.
        collisions: in words, for whoever chose the fields' names.
    """

    columns: dict[str, str]
    collisions: list[str]


def snake_case(name: str) -> str:
    """A plain identifier of up to 63 characters: `Purchased an Item` → `purchased_an_item`, `orderID` → `order_id`."""
    letters = normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = _NO_WORD.sub("_", _HUMP.sub("_", letters).lower()).strip("_") or f"name_{_suffix(name)}"
    if plain[0].isdigit():
        plain = f"_{plain}"
    return plain if len(plain) <= MAX_NAME_CHARACTERS else _with_suffix(plain, name)


def column_name(field: str) -> str:
    """The column that a field has where no other field claims it; never one of ours."""
    plain = snake_case(field)
    if field.startswith("_") or plain in RESERVED:
        plain = f"prop_{plain.lstrip('_')}"
    return plain if len(plain) <= MAX_NAME_CHARACTERS else _with_suffix(plain, field)


def column_names(fields: Sequence[str], kept: Mapping[str, str] | None = None) -> ColumnNames:
    """The columns of fields, no two of the same name.

    Of several that claim one name, that field has it which is called so itself; the others get a suffix of their own,
    which depends on nothing but their name.

    Args:
        fields: their names.
        kept: columns of earlier versions, which stay as they are.
    """
    columns = {field: kept[field] for field in fields if field in kept} if kept else {}
    claimed = {field: column_name(field) for field in fields if field not in columns}
    claims = Counter(claimed.values())
    taken = set((kept or {}).values())
    collisions = []
    for field, name in claimed.items():
        alone = claims[name] == 1 or field == name
        columns[field] = name if alone and name not in taken else _with_suffix(name, field)
        if columns[field] != name:
            others = [other for other, column in (claimed | columns).items() if other != field and column == name]
            collisions.append(f"`{field}` is the column {columns[field]}: {name} is claimed by `{'`, `'.join(others)}`")
    return ColumnNames(columns, collisions)


def table_name(event: str, taken: Collection[str]) -> str:
    """The typed table of an event, or with a suffix of its own where that name is ours or another event's.

    Args:
        event: its name, as sent.
        taken: tables of the team's other events.
    """
    name = snake_case(event)
    if name in TABLES_OF_OURS or name in taken or name.endswith(ALL_MAJORS):
        return _with_suffix(name, event)
    return name


def successor_table_name(first: str, event: str, major: int, taken: Collection[str]) -> str:
    """The typed table of an event's second or later major; `first` is that of its first one."""
    name = f"{first}_v{major}"
    if len(name) > MAX_NAME_CHARACTERS or name in taken:
        return _with_suffix(name, f"{event}@{major}")
    return name


def _with_suffix(name: str, of: str) -> str:
    return f"{name[: MAX_NAME_CHARACTERS - _SUFFIX_CHARACTERS - 1]}_{_suffix(of)}"


def _suffix(name: str) -> str:
    """The same for a name whenever it is asked for."""
    return sha256(name.encode()).hexdigest()[:_SUFFIX_CHARACTERS]
