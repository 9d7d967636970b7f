"""What a dead letter says, which are wanted, and what of one is sent again."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.commands.dead_letter_text import decoded, document, page, table
from deploy.dead_letters import NO_EVENT, NO_VALUE, NOT_RAW, DeadLetter, EventKey, Filters, replayed_event
from schemas.errors import ErrorCode, InvalidEvent
from schemas.topics import MAX_RECORD_BYTES
from stream.dead_letter import dead_letter
from stream.normalize import normalize
from stream.records import RawHeaders
from tests.unit.test_normalize import EVENT_ID, HEADERS, Raw, with_header

DEAD_AT = 1_764_000_000_000


def letter(raw: Raw, offset: int = 7) -> DeadLetter:
    """The dead letter that the stream makes of a raw record."""
    key, value, headers = dead_letter(raw, InvalidEvent(ErrorCode.WRONG_TYPE, "The event must be text.", "event"))
    return DeadLetter(raw.partition, offset, DEAD_AT, key, value, headers)


def with_more(name: str, value: bytes | None) -> Raw:
    """A raw record with one header more."""
    return Raw(headers=(*HEADERS.items(), (name, value)))


@given(
    value=st.binary(),
    headers=st.lists(st.tuples(st.text(max_size=9).map("x-{}".format), st.none() | st.binary(max_size=9)), max_size=4),
)
def test_raw_record_when_made_of_a_dead_letter(value: bytes, headers: RawHeaders) -> None:
    """It is the raw record byte for byte, headers in order, and the mark of a replay; also when it was one before."""
    raw = Raw(value=value, headers=(*headers, *HEADERS.items()))

    again = letter(raw).raw_record()
    twice = letter(replace(raw, headers=again.headers), offset=8).raw_record()

    assert again == (raw.key, value, [*headers, *HEADERS.items(), ("replayed_from", b"3/7")])
    assert twice.headers == [*headers, *HEADERS.items(), ("replayed_from", b"3/8")]


def test_raw_record_when_the_cause_is_gone() -> None:
    """The replay gives the very row that the event would have given: the mark does not reach it."""
    raw = Raw()
    again = letter(raw).raw_record()

    assert normalize(replace(raw, headers=again.headers)) == normalize(raw)


@pytest.mark.parametrize(
    ("raw", "obstacle"),
    [
        (Raw(), None),
        (Raw(key=None), None),
        (Raw(value=b"{\xff"), None),
        (Raw(value=None), NO_VALUE),
        (Raw(value=b"x" * MAX_RECORD_BYTES), NO_VALUE),
        (with_header("format", b"envelope.v1"), NOT_RAW),
        (with_header("event_id", None), NO_EVENT),
        (with_header("event_id", b"'; DROP"), NO_EVENT),
        (with_header("team", b"no team"), NO_EVENT),
        (Raw(headers=()), NO_EVENT),
    ],
)
def test_obstacle_when_a_replay_is_asked_for(raw: Raw, obstacle: str | None) -> None:
    """What cannot arrive is not sent, and the words say why."""
    assert letter(raw).obstacle == obstacle


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        (Filters(), True),
        (Filters("demo", "wrong_type", EVENT_ID.upper(), DEAD_AT, DEAD_AT + 1), True),
        (Filters(team="other"), False),
        (Filters(reason="invalid_json"), False),
        (Filters(event_id=EVENT_ID[:-1] + "2"), False),
        (Filters(since_ms=DEAD_AT + 1), False),
        (Filters(until_ms=DEAD_AT), False),
    ],
)
def test_filters_when_one_does_not_match(filters: Filters, matches: bool) -> None:  # noqa: FBT001 - parametrized
    """Every filter that is given has to match."""
    assert filters.match(letter(Raw())) is matches


def test_replayed_event_when_marked() -> None:
    """Only a record with the mark is a replay; ids are compared as ClickHouse spells them."""
    assert replayed_event(Raw().headers) is None
    assert replayed_event(with_more("replayed_from", b"3/7").headers) == EventKey(EVENT_ID, "demo")
    assert replayed_event((("replayed_from", b"x"), ("event_id", b"\xff"))) == EventKey("\ufffd", "")


def test_raw_offset_when_unreadable() -> None:
    """It is below all others, so that every replay of the event counts."""
    assert letter(Raw()).raw_offset == 41
    assert replace(letter(Raw()), headers=(("raw_offset", "²".encode()),)).raw_offset == -1
    assert replace(letter(Raw()), headers=()).raw_offset == -1


def test_text_when_a_sender_wrote_control_characters() -> None:
    """Nothing that was sent moves the reader's cursor, in headers, their names or the value."""
    hostile = letter(Raw(value=b"a\x1b[2J\nb", headers=(*HEADERS.items(), ("x\x1b", b"\x1b]0;t\x07\r"))))
    shown = replace(hostile, headers=(*hostile.headers, ("detail", b"\x1b[1A")))

    for line in [*page(shown), *table([shown], None)]:
        assert all(character.isprintable() or character == "\n" for character in line)


def test_document_when_bytes_are_no_text() -> None:
    """JSON holds every byte: as text where it is UTF-8, else as base64."""
    raw = letter(Raw(key=None, value=b"\xff\x00"))

    assert json.loads(json.dumps(document(raw)))["value"] == {"base64": "/wA="}
    assert (decoded(None), decoded("é".encode())) == (None, {"text": "é"})
    assert document(raw)["reason"] == "wrong_type"
