"""The registry's core: what becomes of a schema that is sent, by what is registered already."""

import json
from typing import Any

import pytest

from ingress.registry.draft import (
    MAX_SUBJECTS,
    MAX_VERSIONS,
    Draft,
    Known,
    checked_subject,
    digest,
    draft,
    parsed,
    same,
)
from ingress.registry.levels import Level, Mode, parse_level, parse_mode
from ingress.registry.refusals import Code, Refused
from ingress.registry.subjects import Held, SubjectState, to_delete
from ingress.registry.written import ENVELOPE_SUBJECT, envelope_schemas, mirrored, written_subject
from schemas.registered import Column, Subject, Version, decode_version
from stream.dead_letter_limit import NO_BOUNDS
from stream.writers import compiled
from tests.accounts import NOW

ORDER = Subject("acme", "Purchased an Item")
REVENUE = {"name": "revenue", "type": "double"}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}


def text(*fields: object, name: str = "Order") -> str:
    """A schema of these fields."""
    return json.dumps({"type": "record", "name": name, "fields": fields})


def drafted(schema: str, *versions: Version, subject: Subject = ORDER, **known: Any) -> Draft:
    """What becomes of a schema after these versions."""
    return draft(subject, schema, parsed(schema), Known(versions=versions, **known))


def registered(*schemas: str, subject: Subject = ORDER, **known: Any) -> tuple[Version, ...]:
    """These schemas as versions, one after the other."""
    versions: tuple[Version, ...] = ()
    for number, schema in enumerate(schemas):
        made = drafted(schema, *versions, subject=subject, **known)
        versions += (made.version(1_000 + 2 * number, 1_001 + 2 * number),)
    return versions


def refusal(schema: str, *versions: Version, **known: Any) -> Refused:
    """Why it may not be registered."""
    with pytest.raises(Refused) as refused:
        drafted(schema, *versions, **known)
    return refused.value


def test_schema_when_first() -> None:
    """It is version 1 of a table named after the event, with a record of its own; the topic carries all of it."""
    made = drafted(text(REVENUE, NOTE))
    version = made.version(1_000, 1_001)

    assert (version.number, version.table, made.notes) == (1, "purchased_an_item", ())
    assert version.columns == (
        Column("revenue", "revenue", "Nullable(Float64)"),
        Column("note", "note", "Nullable(String)"),
    )
    names = [field["name"] for field in version.writer_schema["fields"]]
    assert names[:3] == ["event_id", "team", "event"]
    assert names[-3:] == ["discards", "revenue", "note"]
    assert decode_version(version.encode()) == version


def test_schema_when_compatible() -> None:
    """It is the next version of the same table."""
    first, second = registered(text(REVENUE), text(REVENUE, NOTE))

    assert (second.number, second.table) == (2, first.table)


@pytest.mark.parametrize(
    ("level", "fields", "taken"),
    [
        (Level.FULL_TRANSITIVE, [], False),
        (Level.FULL, [], False),
        (Level.BACKWARD, [], True),
        (Level.FORWARD, [], False),
        (Level.NONE, [], True),
        (Level.FULL_TRANSITIVE, [REVENUE, {"name": "more", "type": "long"}], False),
        (Level.BACKWARD, [REVENUE, {"name": "more", "type": "long"}], False),
        (Level.FORWARD, [REVENUE, {"name": "more", "type": "long"}], True),
        (Level.FORWARD_TRANSITIVE, [REVENUE, {"name": "more", "type": "long"}], True),
    ],
)
def test_schema_when_level_is(level: Level, fields: list[object], taken: bool) -> None:  # noqa: FBT001 - a parameter
    """A field that must be there may be taken away where only new readers count, and added where only old ones do."""
    first = registered(text(REVENUE, NOTE))
    new = text(*fields, NOTE)

    if taken:
        assert drafted(new, *first, level=level).number == 2
    else:
        refused = refusal(new, *first, level=level)
        assert (refused.code, refused.code.status) == (Code.INCOMPATIBLE, 409)
        assert refused.details
        assert "Purchased an Item@2" in str(refused)


def test_schema_when_level_is_not_transitive() -> None:
    """Without `TRANSITIVE`, the last version alone counts."""
    more = {"name": "more", "type": "long"}
    versions = registered(text(NOTE), text(more, NOTE), level=Level.NONE)
    new = text(more, NOTE, {"name": "last", "type": ["null", "long"], "default": None})

    assert drafted(new, *versions, level=Level.BACKWARD).number == 3
    assert "version 1" in str(refusal(new, *versions, level=Level.BACKWARD_TRANSITIVE))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("double", "string"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, "bytes"),
        ({"type": "array", "items": "long"}, {"type": "array", "items": "string"}),
        (
            {"type": "record", "name": "P", "fields": [REVENUE]},
            {"type": "record", "name": "P", "fields": [REVENUE, NOTE]},
        ),
    ],
)
@pytest.mark.parametrize("level", [Level.NONE, Level.FULL_TRANSITIVE])
def test_column_when_its_type_would_change(old: object, new: object, level: Level) -> None:
    """Whatever the level, and also where the version with the column was deleted: the table has it still."""
    first = Version(**{**as_members(registered(text({"name": "x", "type": old}))[0]), "deleted": True})

    refused = refusal(text({"name": "x", "type": new}), first, level=level)

    assert refused.code is Code.INCOMPATIBLE
    assert "`x` would need a column" in refused.details[0]


def as_members(version: Version) -> dict[str, Any]:
    """Its members by name."""
    return {name: getattr(version, name) for name in version.__struct_fields__}


def test_columns_when_names_collide_later() -> None:
    """A name once given stays; of a field that comes later, the one with another name is told."""
    optional = {"type": ["null", "long"], "default": None}
    first = registered(text({"name": "orderID", **optional}))
    made = drafted(text({"name": "order_id", **optional}, {"name": "orderID", **optional}), *first)

    names = {column.field: column.name for column in made.columns}
    assert names["orderID"] == "order_id"
    assert names["order_id"].startswith("order_id_")
    assert "order_id is claimed by" in made.notes[0]


def test_columns_when_field_has_a_name_of_ours() -> None:
    """Each column is filled from the field that the writer's schema has for it, also where names cross."""
    optional = {"type": ["null", "long"], "default": None}
    first = registered(text({"name": "event", **optional}))
    made = drafted(text({"name": "event", **optional}, {"name": "prop_event", **optional}), *first)

    assert first[0].columns == (Column("prop_event", "prop_event", "Nullable(Int64)"),)
    written = [field["name"] for field in made.writer_schema["fields"]][-2:]
    assert [column.field for column in made.columns] == written
    assert made.columns[0].name == "prop_event"
    assert len({column.name for column in made.columns}) == 2


@pytest.mark.parametrize("event", ["Events", "discards", "Dead Letters", "Orders All", "Shipped!"])
def test_table_when_name_is_taken(event: str) -> None:
    """A table is never ours, a view's or another event's, and that is told."""
    made = drafted(text(REVENUE), subject=Subject("acme", event), tables={"shipped"})

    plain = event.lower().rstrip("!").replace(" ", "_")
    assert made.table.startswith(f"{plain}_")
    assert f"The table is {made.table}" in made.notes[0]
    assert drafted(text(REVENUE), subject=Subject("acme", event), tables={"shipped"}).table == made.table


def test_table_when_major_is_later() -> None:
    """It is named after the first one; a major comes after the one before it."""
    second = Subject("acme", "Purchased an Item", 2)

    made = drafted(text(NOTE), subject=second, first_table="purchased_an_item", tables={"purchased_an_item"})
    crossed = drafted(text(NOTE), subject=second, first_table="purchased", tables={"purchased", "purchased_v2"})
    refused = refusal(text(NOTE), subject=Subject("acme", "x", 3), has_previous_major=False)

    assert (made.number, made.table, made.notes) == (1, "purchased_an_item_v2", ())
    assert crossed.table.startswith("purchased_v2_")
    assert refused.code is Code.INVALID_SUBJECT
    assert "acme.x@2" in str(refused)


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "{",
        '"string"',
        '{"type": "record", "name": "x", "fields": []}',
        text({"name": "x", "type": ["long", "string"]}),
        text({"name": "x", "type": "long", "aliases": 5}),
        text({"name": "x", "type": "long", "order": "x"}),
        text({"name": "x", "type": "double", "default": 2**60}),
        text({"name": "x", "type": "double", "default": 10**400}),
        text({"name": "x", "type": {"type": "int", "logicalType": "date"}, "default": -99_999}),
        text({"name": "x", "type": "long", "doc": "[" * 5_000}).replace('"[', "[").replace('["', "[" + "]" * 5_001),
        text(REVENUE, name="x" * (300 << 10)),
        text(REVENUE, name="\ud800").replace("\\ud800", "\ud800"),
    ],
)
def test_schema_when_unusable(schema: str) -> None:
    """It is refused in words, whatever it is."""
    with pytest.raises(Refused) as refused:
        parsed(schema)
    assert refused.value.code is Code.INVALID_SCHEMA
    assert str(refused.value)


def test_schema_when_its_record_would_be_too_large() -> None:
    """What Kafka would not take is never registered."""
    assert refusal(text({"name": "x" * (250 << 10), "type": "long"})).code is Code.INVALID_SCHEMA


def test_schema_when_there_are_too_many() -> None:
    """A team has so many subjects, and a subject so many versions; what is there takes new versions."""
    (first,) = registered(text(REVENUE))

    assert refusal(text(REVENUE), subjects=MAX_SUBJECTS).code is Code.NOT_PERMITTED
    assert drafted(text(REVENUE, NOTE), first, subjects=MAX_SUBJECTS).number == 2
    assert refusal(text(REVENUE), *(first,) * MAX_VERSIONS).code is Code.NOT_PERMITTED
    assert refusal(text(REVENUE), mode=Mode.READONLY).code is Code.NOT_PERMITTED


def test_schema_when_the_same_again() -> None:
    """Blanks and the order of members make no other schema; the order of fields does."""
    versions = registered(text(REVENUE, NOTE))
    again = json.dumps(json.loads(text(REVENUE, NOTE)), indent=4, sort_keys=True)

    assert same(parsed(again), versions) == versions[0]
    assert digest(parsed(again)) == digest(parsed(text(REVENUE, NOTE)))
    assert same(parsed(text(NOTE, REVENUE)), versions) is None


@pytest.mark.parametrize("name", ["acme", "Acme.x", "acme.x@1", "acme.a\nb", "acme." + "x" * 201, "system.x", "a.\x00"])
def test_subject_when_it_names_none(name: str) -> None:
    """It is refused in words."""
    with pytest.raises(Refused) as refused:
        checked_subject(name)
    assert refused.value.code is Code.INVALID_SUBJECT


def test_words_when_not_ours() -> None:
    """Levels and modes are a closed list."""
    assert parse_level("full") is Level.FULL
    for word in ("FULLER", "", None, 1, ["FULL"]):
        with pytest.raises(Refused) as refused:
            parse_level(word)
        assert refused.value.code is Code.INVALID_COMPATIBILITY
    for word in ("IMPORT", None):
        with pytest.raises(Refused) as refused:
            parse_mode(word)
        assert refused.value.code is Code.INVALID_MODE


def state(*kinds: str) -> SubjectState:
    """A subject with versions that are live, deleted or hidden."""
    versions = registered(*(text(REVENUE, name=f"V{number}") for number in range(len(kinds))), level=Level.NONE)
    return SubjectState(
        str(ORDER),
        tuple(
            Held(Version(**{**as_members(version), "deleted": kind != "live"}), NOW, hidden=kind == "hidden")
            for version, kind in zip(versions, kinds, strict=True)
        ),
    )


def test_version_when_asked_for() -> None:
    """By number or the latest; deleted ones on demand, hidden ones never."""
    found = state("hidden", "live", "live", "deleted")

    assert [found.find(asked).number for asked in ("2", "latest", "-1")] == [2, 3, 3]
    assert found.find("4", deleted=True).number == 4
    assert found.find("latest", deleted=True).number == 3
    for asked, code in (
        ("4", Code.VERSION_NOT_FOUND),
        ("1", Code.VERSION_NOT_FOUND),
        ("99999999999", Code.INVALID_VERSION),
        ("0", Code.INVALID_VERSION),
        ("²", Code.INVALID_VERSION),
    ):
        with pytest.raises(Refused) as refused:
            found.find(asked)
        assert refused.value.code is code
    with pytest.raises(Refused) as refused:
        state("deleted").find("1")
    assert refused.value.code is Code.SUBJECT_NOT_FOUND


@pytest.mark.parametrize(
    ("kinds", "asked", "permanent", "outcome"),
    [
        (("live", "deleted", "live"), None, False, [1, 3]),
        (("live", "deleted", "live"), "2", True, [2]),
        (("live", "deleted", "live"), "latest", False, [3]),
        (("deleted", "hidden"), None, True, [1]),
        (("live",), None, True, Code.SUBJECT_NOT_SOFT_DELETED),
        (("deleted",), None, False, Code.SUBJECT_SOFT_DELETED),
        (("live",), "1", True, Code.VERSION_NOT_SOFT_DELETED),
        (("live", "deleted"), "2", False, Code.VERSION_SOFT_DELETED),
        (("hidden",), None, True, Code.SUBJECT_NOT_FOUND),
        ((), None, False, Code.SUBJECT_NOT_FOUND),
    ],
)
def test_deletion_when_asked_for(
    kinds: tuple[str, ...],
    asked: str | None,
    permanent: bool,  # noqa: FBT001 - a parameter
    outcome: list[int] | Code,
) -> None:
    """First out of use, then out of the lists, and each step once."""
    if isinstance(outcome, list):
        assert to_delete(state(*kinds), asked, permanent=permanent) == outcome
        return
    with pytest.raises(Refused) as refused:
        to_delete(state(*kinds), asked, permanent=permanent)
    assert refused.value.code is outcome


def test_writer_schemas_when_registered_elsewhere() -> None:
    """Equal schemas have writer schemas of their own, by which the stream writes; no field of ours has a default."""
    first, second = (
        mirrored(drafted(text(REVENUE), subject=subject), number)
        for subject, number in ((ORDER, 1), (Subject("acme", "Returned an Item"), 7))
    )

    assert first.writer_schema != second.writer_schema
    assert (second.number, second.writer_schema["doc"].endswith("acme.Returned an Item, version 7")) == (7, True)
    assert compiled(first.version(3, 4), NO_BOUNDS).wire_header == b"\0\0\0\0\4"
    defaults = [field["name"] for field in first.writer_schema["fields"] if "default" in field]
    assert defaults == ["revenue"]
    for schema in envelope_schemas().values():
        assert not any("default" in field for field in schema["fields"])


@pytest.mark.parametrize(
    "subject", [ENVELOPE_SUBJECT, written_subject(ORDER), written_subject(Subject("acme", "e", 2))]
)
def test_subject_when_it_is_the_mirrors_own(subject: str) -> None:
    """No team's event is called so: the mirror never takes what it has registered itself."""
    with pytest.raises(Refused):
        checked_subject(subject)
