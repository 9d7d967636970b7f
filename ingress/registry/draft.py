"""From a schema's text, and what is registered already, to a new version or a refusal in words.  Pure.

A table outlives the versions that filled it: its name, and the name and type of each column, hold for deleted versions
too.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from ingress.registry.levels import DEFAULT_LEVEL, Level, Mode, incompatibilities
from ingress.registry.refusals import Code, Refused
from schemas.columns import column_type
from schemas.compatibility import moved, problems
from schemas.ddl import is_team_slug
from schemas.field_types import TypedSchema
from schemas.names import column_names, snake_case, successor_table_name, table_name
from schemas.registered import Column, Subject, Version, parse_subject
from schemas.topics import MAX_RECORD_BYTES
from schemas.typed import SchemaError, parse_schema
from schemas.values.coerce import Coercion
from schemas.written import typed_fields, writer_schema

MAX_SCHEMA_BYTES = 256 << 10
MAX_SUBJECTS = 1_000
MAX_VERSIONS = 500
MAX_EVENT_NAME_CHARACTERS = 200
_ENVELOPE = json.loads(files("schemas").joinpath("avro/event/v1.avsc").read_text("utf-8"))
# As wide as an id gets; what stands around the schemas in a record is small beside it.
_ANY_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Known:
    """What counts for a new version of a subject.

    Attributes:
        versions: all that the subject ever had, deleted ones too, oldest first.
        first_table: of the event's first major; None where it has none.
        has_previous_major: whether the event ever had a version of the major before; True for the first one.
        tables: of the team's other subjects.
        subjects: how many the team has.
    """

    versions: tuple[Version, ...] = ()
    first_table: str | None = None
    has_previous_major: bool = True
    tables: Collection[str] = ()
    subjects: int = 0
    level: Level = DEFAULT_LEVEL
    mode: Mode = Mode.READWRITE


@dataclass(frozen=True, slots=True)
class Draft:
    """A version that may be registered; only its ids are missing.

    Attributes:
        notes: what whoever registers it should know, in words.
    """

    subject: Subject
    number: int
    text: str
    writer_schema: dict[str, Any]
    table: str
    columns: tuple[Column, ...]
    notes: tuple[str, ...]

    def version(self, schema_id: int, writer_id: int) -> Version:
        """The version with its ids."""
        return Version(
            self.subject,
            self.number,
            schema_id,
            writer_id,
            self.text,
            self.writer_schema,
            self.table,
            self.columns,
        )


def checked_subject(text: str) -> Subject:
    """A subject as a client writes it.

    Raises:
        Refused: where it is none.
    """
    try:
        subject = parse_subject(text)
    except ValueError as error:
        raise Refused(Code.INVALID_SUBJECT, str(error)) from error
    if not is_team_slug(subject.team):
        raise Refused(Code.INVALID_SUBJECT, f"{subject.team!r} cannot be a team: a subject is acme.Purchased an Item.")
    if len(subject.event) > MAX_EVENT_NAME_CHARACTERS or not subject.event.isprintable():
        limit = f"1 to {MAX_EVENT_NAME_CHARACTERS} characters in one line"
        raise Refused(Code.INVALID_SUBJECT, f"The event's name in the subject must have {limit}.")
    return subject


def parsed(text: str) -> TypedSchema:
    """A schema as a client sends it.

    Raises:
        Refused: where it cannot be used, saying what to change.
    """
    try:
        if len(text.encode()) > MAX_SCHEMA_BYTES:
            raise Refused(Code.INVALID_SCHEMA, f"The schema is larger than {MAX_SCHEMA_BYTES >> 10} KiB.")
        schema = parse_schema(text)
        # Whatever Avro's own package cannot read now could never be compared with a later version.
        problems(schema, [("itself", schema)])
        # Nor would the stream write by one whose defaults do not fit.
        Coercion(schema)
    except SchemaError as error:
        raise Refused(Code.INVALID_SCHEMA, str(error)) from error
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Refused(Code.INVALID_SCHEMA, f"The schema is no valid Avro: {error}") from error
    return schema


def digest(schema: TypedSchema) -> bytes:
    """The same for schemas that differ in blanks and in the order of members alone, which have one id."""
    return sha256(json.dumps(schema.document, sort_keys=True, separators=(",", ":")).encode()).digest()


def same(schema: TypedSchema, versions: Sequence[Version]) -> Version | None:
    """The last of these versions that is this schema."""
    wanted = digest(schema)
    return next((each for each in reversed(versions) if digest(_of(each)) == wanted), None)


def why_not_compatible(
    schema: TypedSchema, versions: Sequence[Version], level: Level, against: Sequence[Version]
) -> list[str]:
    """Why a schema cannot be the next version, in words; nothing where it can.

    Args:
        schema: what is to be registered.
        versions: all that the subject ever had, deleted ones too.
        level: what is asked of a version.
        against: those that it has to be compatible with, oldest first.
    """
    older = [(f"version {each.number}", _of(each)) for each in against]
    return incompatibilities(schema, older, level) or _moved_columns(schema, versions)


def draft(subject: Subject, text: str, schema: TypedSchema, known: Known) -> Draft:
    """A new version of the subject.

    Args:
        subject: whose.
        text: the schema as it was sent.
        schema: the same, parsed.
        known: what there is already.

    Raises:
        Refused: where it may not be registered, saying why.
    """
    if known.mode is Mode.READONLY:
        raise Refused(Code.NOT_PERMITTED, f"Subject '{subject}' is READONLY: it takes no new versions.")
    if not known.has_previous_major:
        needed = Subject(subject.team, subject.event, subject.major - 1)
        raise Refused(Code.INVALID_SUBJECT, f"Subject '{subject}' comes after '{needed}', which has no version yet.")
    live = [each for each in known.versions if not each.deleted]
    if found := why_not_compatible(schema, known.versions, known.level, live):
        successor = Subject(subject.team, subject.event, subject.major + 1)
        words = f"The schema is not compatible ({known.level}) with what is registered for '{subject}': "
        todo = f".  A breaking change is a new subject, with a table of its own: '{successor}'."
        raise Refused(Code.INCOMPATIBLE, f"{words}{'; '.join(found)}{todo}", found)
    made = _draft(subject, text, schema, known)
    _check_sizes(made, known)
    return made


def _draft(subject: Subject, text: str, schema: TypedSchema, known: Known) -> Draft:
    kept = {field: column.name for each in known.versions for field, column in _columns_by_field(each)}
    names = column_names([field.name for field in schema.fields], kept)
    columns = tuple(
        Column(written["name"], names.columns[field.name], column_type(field.type))
        for field, written in zip(schema.fields, typed_fields(schema), strict=True)
    )
    table, note = _table(subject, known)
    return Draft(
        subject,
        max((each.number for each in known.versions), default=0) + 1,
        text,
        writer_schema(_ENVELOPE, schema),
        table,
        columns,
        (*note, *names.collisions),
    )


def _of(version: Version) -> TypedSchema:
    return _parsed(version.schema)


# A change is held against each older version more than once.
@lru_cache(maxsize=256)
def _parsed(text: str) -> TypedSchema:
    return parse_schema(text)


def _columns_by_field(version: Version) -> list[tuple[str, Column]]:
    """The column of each field of what was registered: those of the writer's schema may be called otherwise."""
    return [(field.name, column) for field, column in zip(_of(version).fields, version.columns, strict=True)]


def _moved_columns(schema: TypedSchema, versions: Sequence[Version]) -> list[str]:
    """Fields whose values would need another column."""
    before = {field: (column, each.number) for each in versions for field, column in _columns_by_field(each)}
    found = []
    for field in schema.fields:
        column, number = before.get(field.name, (None, 0))
        if column is not None and (words := moved(field, column.type)):
            found.append(f"{words} (version {number})")
    return found


def _table(subject: Subject, known: Known) -> tuple[str, list[str]]:
    """The subject's table, and what is to be said of its name."""
    if known.versions:
        return known.versions[0].table, []
    if subject.major > 1 and known.first_table:
        wanted = f"{known.first_table}_v{subject.major}"
        table = successor_table_name(known.first_table, subject.event, subject.major, known.tables)
    else:
        wanted = snake_case(subject.event)
        table = table_name(subject.event, known.tables)
    if table == wanted:
        return table, []
    return table, [f"The table is {table}: {wanted} is ours, another event's, or too long"]


def _check_sizes(made: Draft, known: Known) -> None:
    if not known.versions and known.subjects >= MAX_SUBJECTS:
        raise Refused(Code.NOT_PERMITTED, f"The team {made.subject.team} has {MAX_SUBJECTS} subjects, and no more.")
    if len(known.versions) >= MAX_VERSIONS:
        successor = Subject(made.subject.team, made.subject.event, made.subject.major + 1)
        todo = f"go on with '{successor}'"
        raise Refused(Code.NOT_PERMITTED, f"Subject '{made.subject}' has {MAX_VERSIONS} versions: {todo}.")
    if len(made.version(_ANY_ID, _ANY_ID).encode()) > MAX_RECORD_BYTES:
        raise Refused(Code.INVALID_SCHEMA, "The schema with what is made of it is too large: shorten its names.")
