"""Normalizing by a registered schema: what a record holds, how it is cut, and what does not fit."""

import io
import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode_envelope, encode_envelope, schema_id
from schemas.errors import ErrorCode
from schemas.registered import ENVELOPE, WITH_DISCARDS, EnvelopeId, Registered, Version
from schemas.topics import MAX_RECORD_BYTES
from stream.normalize import normalize, normalize_run
from stream.records import Record
from stream.writers import Writers
from tests.typed import version
from tests.unit.test_normalize import HEADERS, Raw, call, json_values

REVENUE = {"name": "revenue", "type": "double"}
SIZE = {"name": "size", "type": ["null", "int"], "default": None}
TAGS = {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []}
DISCARDS_SCHEMA: dict[str, Any] = json.loads(files("schemas").joinpath("avro/event/v2.avsc").read_text("utf-8"))


def writers(*versions: Version) -> Writers:
    """The writers of what is registered."""
    registered = Registered()
    for each in versions:
        registered.apply(each, taken_at=1)
    return Writers(registered)


def raw(properties: str, event: str = "e") -> Raw:
    """An event with these properties."""
    return Raw(value=f'{{"version":1,"type":"event","event":"{event}","properties":{properties}}}'.encode())


def decoded(record: Record, schema: dict[str, Any]) -> dict[str, Any]:
    """The whole record, read by fastavro; nothing is left behind it."""
    assert record.value is not None
    body = io.BytesIO(record.value[5:])
    found: Any = fastavro.schemaless_reader(body, fastavro.parse_schema(schema), None)
    assert body.read() == b""
    assert isinstance(found, dict)
    return found


def test_record_when_its_event_has_a_schema() -> None:
    """The writer schema reads all of it, the headers cut it, and its first part is the envelope of one without."""
    by = version("demo", [REVENUE, SIZE, TAGS], event="e")
    source = raw('{"revenue": "39.95", "size": 4.5, "tags": ["a", 7]}')

    record = normalize(source, writers(by))

    found = decoded(record, by.writer_schema)
    plain = normalize(source)
    assert schema_id(record.value or b"") == 1_001
    assert (found["revenue"], found["size"], found["tags"]) == (39.95, None, ["a", "7"])
    assert found["discards"] == [{"field": "size", "value": "4.5", "wanted": "long", "reason": "is no whole number"}]
    headers = {name: value or b"" for name, value in record.headers}
    assert list(headers)[:3] == [name for name, _ in plain.headers]
    body, end = (record.value or b"")[5:], int(headers["envelope_bytes"])
    assert body[:end] == (plain.value or b"")[5:]
    assert headers["discards"] == b"1"
    typed = fastavro.schemaless_reader(
        io.BytesIO(body[-int(headers["typed_bytes"]) :]),
        {"type": "record", "name": "T", "fields": by.writer_schema["fields"][-3:]},
        None,
    )
    assert isinstance(typed, dict)
    assert typed["revenue"] == 39.95


def test_record_when_its_event_has_no_schema() -> None:
    """Neither value nor headers know of the schemas of other events, teams and kinds."""
    others = writers(version("demo", [REVENUE], event="other"), version("other", [REVENUE], writer_id=1_003, event="e"))

    assert normalize(raw('{"revenue":1}'), others) == normalize(raw('{"revenue":1}'))


@pytest.mark.parametrize(("kind", "typed"), [("track", True), ("page", False), ("screen", False)])
def test_record_when_a_call_of_the_segment_family(kind: str, *, typed: bool) -> None:
    """Whose name its sender chose as an event's is typed; a page of the same name is not."""
    record = normalize(
        call(kind, b'{"event":"e","name":"e","properties":{"revenue":2}}'),
        writers(version("demo", [REVENUE], event="e")),
    )

    assert (schema_id(record.value or b"") == 1_001) is typed


def test_dead_letter_when_a_required_member_is_missing() -> None:
    """It names the member; the run goes on with the others."""
    run = normalize_run([raw("{}"), raw('{"revenue":1}')], writers(version("demo", [REVENUE], event="e")))

    (letter,) = run.dead_letters
    headers = dict(letter.headers)
    assert (headers["reason"], headers["field"]) == (b"missing_member", b"properties.revenue")
    assert run.reasons == {ErrorCode.MISSING_MEMBER: 1}
    assert len(run.normalized) == 1


def test_writers_when_versions_come_and_go() -> None:
    """Each change counts for what Kafka took after it; after the last is deleted there is only the envelope."""
    changes = (
        version("demo", [REVENUE], event="e"),
        version("demo", [REVENUE, SIZE], writer_id=1_003, number=2, event="e"),
        version("demo", [REVENUE, SIZE], writer_id=1_003, number=2, deleted=True, event="e"),
        version("demo", [REVENUE], deleted=True, event="e"),
    )
    records = [replace(raw('{"revenue":1}'), timestamp=time) for time in range(1, 6)]
    registered = Registered()
    by = Writers(registered)
    read_in_time = []
    for time, each in enumerate(changes, start=1):
        registered.apply(each, time)
        read_in_time.append(normalize(records[time], by))

    read_late = normalize_run(records, by).normalized

    assert read_late[1:] == read_in_time
    assert [schema_id(record.value or b"") for record in read_late] == [1, 1_001, 1_003, 1_001, 1]


def test_ids_when_the_registry_is_not_ours() -> None:
    """Only the id of what no schema wrote is another one; a change counts from the next run on."""
    registered = Registered()
    registered.apply(version("demo", [REVENUE], writer_id=2, event="typed"), 1)
    by = Writers(registered)
    bare, late, typed = raw("{}"), raw('{}, "timestamp": "2299-01-01T00:00:00Z"'), raw('{"revenue":1}', "typed")
    before = [normalize(each, by) for each in (bare, late, typed)]

    registered.apply_envelope(EnvelopeId(ENVELOPE, 70_000))
    registered.apply_envelope(EnvelopeId(WITH_DISCARDS, 1))
    after = [normalize(each, by) for each in (bare, late, typed)]

    assert [schema_id(each.value or b"") for each in before] == [1, 2, 2]
    assert [schema_id(each.value or b"") for each in after] == [70_000, 1, 2]
    assert [(each.value or b"")[5:] for each in after] == [(each.value or b"")[5:] for each in before]
    assert [each.headers for each in after] == [each.headers for each in before]


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": "{"},
        {"schema": '{"type":"record","name":"T","fields":[{"name":"a","type":"null"}]}'},
        {"schema": '{"type":"record","name":"T","fields":[{"name":"revenue","type":"int"}]}'},
        {"schema": '{"type":"record","name":"T","fields":[{"name":"revenue","type":"double","default":"x"}]}'},
        {"writer_schema": {}},
        {"writer_schema": {"fields": [1]}},
    ],
)
def test_writers_when_a_version_cannot_be_used(changed: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The event is written as if it had none, and the log says which one to mend, once."""
    good = version("demo", [REVENUE], event="e")
    bad = Version(**{field: getattr(good, field) for field in good.__struct_fields__} | changed)
    by = writers(bad)

    for _ in range(2):
        assert normalize(raw('{"revenue":1}'), by) == normalize(raw('{"revenue":1}'))

    assert capsys.readouterr().out.count("schema_unusable") == 1


def test_record_when_too_large_with_its_typed_fields() -> None:
    """The envelope is kept, with a discard that says so; so is an absurd time's."""
    text = "x" * (MAX_RECORD_BYTES // 2)
    source = raw(f'{{"text":"{text}"}}')

    run = normalize_run([source], writers(version("demo", [{"name": "text", "type": "string"}], event="e")))

    (record,) = run.normalized
    found = decoded(record, DISCARDS_SCHEMA)
    assert schema_id(record.value or b"") == 2
    assert [each["wanted"] for each in found["discards"]] == ["typed fields"]
    assert "would exceed" in found["discards"][0]["reason"]
    assert {name for name, _ in record.headers[3:]} == {"envelope_bytes", "discards"}
    assert run.discards == 1


@pytest.mark.parametrize(
    ("time", "sent_at", "kept", "reason"),
    [
        ("2026-11-24T10:00:00.123456Z", None, True, ""),
        ("2026-11-24T10:00:00.123457Z", None, False, "lies more than 24 hours after received_at"),
        ("2299-01-01T00:00:00+01:00", None, False, "lies more than 24 hours after received_at"),
        ("2000-01-01T00:00:00Z", None, True, ""),
        ("1999-12-31T23:59:59.999999Z", None, False, "lies before 2000"),
        (
            "2026-11-23T09:00:00Z",
            b"1970-01-01T00:00:00Z",
            False,
            "corrected by sent_at, lies more than 24 hours after received_at",
        ),
    ],
)
def test_time_when_absurd(time: str, sent_at: bytes | None, *, kept: bool, reason: str) -> None:
    """What cannot be is dated by its receipt, and kept as a discard; at the bounds the sender's word stands."""
    source = Raw(
        value=f'{{"version":1,"type":"event","event":"e","timestamp":"{time}"}}'.encode(),
        headers=tuple((HEADERS | ({} if sent_at is None else {"sent_at": sent_at})).items()),
    )

    record = normalize(source)

    if kept:
        assert decode_envelope(record.value or b"")["occurred_at"].isoformat().replace("+00:00", "Z") == time
        return
    found = decoded(record, DISCARDS_SCHEMA)
    assert found["occurred_at"] == found["received_at"]
    assert found["discards"] == [{"field": "timestamp", "value": json.dumps(time), "wanted": "time", "reason": reason}]


@settings(deadline=None)
@given(
    fields=st.lists(
        st.sampled_from(["boolean", "long", "double", "string", "bytes", {"type": "map", "values": "double"}]),
        min_size=1,
        max_size=6,
    ),
    values=st.lists(json_values, max_size=6),
    time=st.datetimes().map(lambda time: f"{time.isoformat()}Z") | st.none(),
)
def test_records_when_anything_is_sent(fields: list[Any], values: list[Any], time: str | None) -> None:
    """Whatever the values are, fastavro reads the record by its writer schema, and the headers tell its parts."""
    by = version(
        "demo", [{"name": f"f{at}", "type": ["null", of], "default": None} for at, of in enumerate(fields)], event="e"
    )
    properties = {f"f{at}": value for at, value in enumerate(values)}
    event = {"version": 1, "type": "event", "event": "e", "properties": properties, "timestamp": time}

    run = normalize_run([Raw(value=json.dumps(event).encode())], writers(by))

    for record in run.normalized:
        found = decoded(record, by.writer_schema)
        headers = {name: int(value or b"") for name, value in record.headers[3:]}
        assert headers["discards"] == len(found["discards"]) == run.discards
        envelope = (record.value or b"")[5 : 5 + headers["envelope_bytes"]]
        assert encode_envelope(found) == envelope
    assert run.normalized or run.reasons
