"""What the Schemas pages show of subjects and versions.  Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ingress.registry.draft import Draft
from ingress.registry.store import Listed
from ingress.registry.subjects import Held, SubjectState
from schemas.field_types import Field
from schemas.names import RESERVED, snake_case
from schemas.registered import Column, Subject, Version, parse_subject
from schemas.typed import parse_schema

LINE_CHARACTERS = 74


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A field with its column.

    Attributes:
        member: what it is filled from, where that is called otherwise.
        note: why the column is called otherwise, in words.
    """

    field: str
    member: str
    column: str
    type: str
    note: str


def subject_path(subject: Subject) -> str:
    """The page of a subject."""
    return f"/teams/{subject.team}/schemas/{quote(str(subject), safe='')}"


def majors_in_use(listed: Sequence[Listed], event: str) -> list[int]:
    """The majors of an event that have a version; events are written by the last one."""
    return sorted(each.subject.major for each in listed if each.subject.event == event and each.versions)


def shown_of(state: SubjectState) -> list[Held]:
    """The versions that were not deleted permanently, oldest first."""
    return [each for each in state.held if not each.hidden]


def current_of(state: SubjectState) -> Held:
    """The last version, of those that are not deleted where there are any."""
    shown = shown_of(state)
    return next((each for each in reversed(shown) if not each.version.deleted), shown[-1])


def column_rows(made: Version | Draft) -> list[ColumnRow]:
    """The fields of a version, in their order."""
    text = made.schema if isinstance(made, Version) else made.text
    return [_column_row(field, column) for field, column in zip(parse_schema(text).fields, made.columns, strict=True)]


def table_note(subject: Subject, table: str) -> str:
    """Why a table is not called as its event, in words; empty where it is."""
    wanted = snake_case(subject.event) + (f"_v{subject.major}" if subject.major > 1 else "")
    return "" if table == wanted else f"{wanted} is ours, another event's, or too long"


def pretty(text: str) -> str:
    """A schema as people read it: what fits into a line is one."""
    return _laid_out(json.loads(text), "")


def _laid_out(value: object, margin: str, before: str = "") -> str:
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(margin) + len(before) + len(line) <= LINE_CHARACTERS:
        return line
    inner, brackets = f"{margin}  ", "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, dict):
        keys = [f"{json.dumps(key, ensure_ascii=False)}: " for key in value]
        parts = [key + _laid_out(each, inner, key) for key, each in zip(keys, value.values(), strict=True)]
    else:
        parts = [_laid_out(each, inner) for each in value]
    return f"{brackets[0]}\n{inner}{f',{chr(10)}{inner}'.join(parts)}\n{margin}{brackets[1]}"


def own_subject(team: str, name: str) -> Subject | None:
    """The subject of a name, where it is one of the team's."""
    try:
        subject = parse_subject(name)
    except ValueError:
        return None
    return subject if subject.team == team else None


def _column_row(field: Field, column: Column) -> ColumnRow:
    member = field.member if field.member != field.name else ""
    return ColumnRow(field.name, member, column.name, column.type, _column_note(field.name, column.name))


def _column_note(field: str, column: str) -> str:
    plain = snake_case(field)
    if column in {field, plain}:
        return ""
    if column.startswith("prop_") and (plain in RESERVED or field.startswith("_")):
        return f"{plain if plain in RESERVED else field} is a name of ours"
    return f"{plain} is another field's"
