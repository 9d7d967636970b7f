"""Registered schemas as the stream and the sink take them from `events.schemas`."""

import pytest
from msgspec.structs import replace

from schemas.registered import (
    ENVELOPE,
    WITH_DISCARDS,
    Column,
    EnvelopeId,
    Registered,
    Subject,
    Version,
    decode_record,
    decode_version,
    parse_subject,
)

WRITER_SCHEMA = {"type": "record", "name": "Purchase", "fields": []}


def version(number: int, writer_id: int, *, major: int = 1, deleted: bool = False) -> Version:
    """A version of one event's schema."""
    subject = Subject("acme", "Purchased an Item", major)
    column = Column("revenue", "revenue", "Nullable(Float64)")
    return Version(subject, number, writer_id - 1, writer_id, "{}", WRITER_SCHEMA, "purchased", (column,), deleted)


@pytest.mark.parametrize("text", ["acme.Purchased an Item", "acme.Purchased an Item@2", "acme.a.b@c@12", "acme.@2x"])
def test_subject_when_written_and_parsed(text: str) -> None:
    """What a client names is what it gets."""
    assert str(parse_subject(text)) == text


@pytest.mark.parametrize("text", ["acme", ".Purchased", "acme.", "acme.x@1", "acme.x@02", "acme.x@0", "acme.@2"])
def test_subject_when_it_names_none(text: str) -> None:
    """It is refused in words, and no two texts mean the same subject."""
    with pytest.raises(ValueError, match="must"):
        parse_subject(text)


def test_version_when_encoded() -> None:
    """A later release may add members."""
    first = version(1, 1001)

    assert decode_version(first.encode()[:-1] + b',"later":[1]}') == first
    assert first.key == b"acme.Purchased an Item/1"


def test_version_when_unreadable() -> None:
    """Whatever lies in the topic, it is told as no version."""
    no_avro = replace(version(1, 1001), writer_schema={"type": "number"}).encode()
    for value in (b"", b"\xff", b"{}", b'{"subject":"acme"}', no_avro):
        with pytest.raises(ValueError, match="no version"):
            decode_version(value)


def test_writes_when_versions_come_and_go() -> None:
    """The last version of the highest major that was not deleted then; records of all are still known."""
    changes = (
        version(1, 1001),
        version(2, 1003),
        version(1, 1005, major=2),
        version(1, 1005, major=2, deleted=True),
        version(2, 1003, deleted=True),
        version(1, 1001, deleted=True),
    )
    registered = Registered()
    for time, each in enumerate(changes):
        registered.apply(each, time)

    written_by = [registered.writes("acme", "Purchased an Item", time) for time in range(7)]

    assert [each and each.writer_id for each in written_by] == [None, 1001, 1003, 1005, 1003, 1001, None]
    assert [each.writer_id for each in registered] == [1001, 1003, 1005]
    assert (known := registered.written_by(1005)) is not None
    assert known.deleted
    assert registered.written_by(7) is None
    assert registered.writes("other", "Purchased an Item", 7) is None


def test_record_when_its_key_tells_what_it_is() -> None:
    """Ids of the envelope and versions come back as they went in; what is neither is told as such."""
    given, registered = EnvelopeId(ENVELOPE, 70_000), version(1, 1001)

    for each in (given, registered):
        assert decode_record(each.key, each.encode()) == each
    for value in (None, b"", b"{}", b'{"number":1,"id":0}', b'{"number":1,"id":4294967296}'):
        with pytest.raises(ValueError, match="no id of an envelope"):
            decode_record(given.key, value)
    with pytest.raises(ValueError, match="no version"):
        decode_record(b"something/else", given.encode())


def test_envelope_ids_when_they_change() -> None:
    """The last one counts; all that ever did are known, each for its own version of the envelope."""
    registered = Registered()
    current = []
    for number in (2, 70_000, 2):
        registered.apply_envelope(EnvelopeId(ENVELOPE, number))
        current.append(registered.envelope_id(ENVELOPE))

    assert current == [2, 70_000, 2]
    assert [registered.is_envelope(ENVELOPE, number) for number in (1, 2, 3, 70_000)] == [True, True, False, True]
    assert registered.envelope_id(WITH_DISCARDS) == 2
    assert not registered.is_envelope(WITH_DISCARDS, 70_000)
