"""Parsing `event.v1`."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ErrorCode, InvalidEvent
from schemas.events import derive_event_id, parse_event, to_micros
from schemas.free_json import MAX_DEPTH, json_text

GOOD = {"version": 1, "type": "event", "event": "Purchased an Item"}


def body(**members: object) -> bytes:
    """A good event with some members set to something else."""
    return json.dumps(GOOD | members).encode()


def test_event_when_only_required_members() -> None:
    """The three required members suffice; the rest is absent."""
    event = parse_event(body())

    assert event.event == "Purchased an Item"
    assert (event.timestamp, event.id, event.user_id, event.anonymous_id) == (None, None, None, None)
    assert json_text(event.properties) == "{}"


def test_free_members_when_odd_digits_and_spaces() -> None:
    """Properties and context stay exact slices: digits, key order and spaces are the sender's."""
    free = '{ "price": 39.950, "big": 123456789012345678901234567890, "b":1, "a":{"x":[1e2 ,2]}}'

    event = parse_event(
        b'{"version":1,"type":"event","event":"x","properties":  %b ,"context":%b}' % (free.encode(), free.encode())
    )

    assert (json_text(event.properties), json_text(event.context)) == (free, free)


def test_optional_members_when_null() -> None:
    """Null counts as absent for every optional member."""
    event = parse_event(body(properties=None, timestamp=None, id=None, userId=None, anonymousId=None, context=None))

    assert event == parse_event(body())


@pytest.mark.parametrize(
    ("sent", "code", "field"),
    [
        (b"", ErrorCode.INVALID_JSON, None),
        (b"{", ErrorCode.INVALID_JSON, None),
        (b"\xff", ErrorCode.INVALID_JSON, None),
        (b"\xef\xbb\xbf" + body(), ErrorCode.INVALID_JSON, None),
        (body() + b"{}", ErrorCode.INVALID_JSON, None),
        (body()[:-1] + b',"properties":{"a":"\\ud800"}}', ErrorCode.INVALID_JSON, None),
        (body()[:-1] + b',"properties":{"a":"\xed\xa0\x80"}}', ErrorCode.INVALID_JSON, None),
        (body()[:-1] + b',"properties":{"a":NaN}}', ErrorCode.INVALID_JSON, None),
        (body()[:-1] + b',"properties":{"a":1e400}}', ErrorCode.INVALID_VALUE, "properties"),
        (b"[]", ErrorCode.WRONG_TYPE, None),
        (b"null", ErrorCode.WRONG_TYPE, None),
        (b'{"type":"event","event":"x"}', ErrorCode.MISSING_MEMBER, "version"),
        (b'{"version":1,"event":"x"}', ErrorCode.MISSING_MEMBER, "type"),
        (b'{"version":1,"type":"event"}', ErrorCode.MISSING_MEMBER, "event"),
        (body(version="1"), ErrorCode.WRONG_TYPE, "version"),
        (body(version=2), ErrorCode.INVALID_VALUE, "version"),
        (body(type="track"), ErrorCode.INVALID_VALUE, "type"),
        (body(event=7), ErrorCode.WRONG_TYPE, "event"),
        (body(event=""), ErrorCode.INVALID_VALUE, "event"),
        (body(event="x" * 201), ErrorCode.INVALID_VALUE, "event"),
        (body(properties=[]), ErrorCode.WRONG_TYPE, "properties"),
        (body(properties="{}"), ErrorCode.WRONG_TYPE, "properties"),
        (body(context=1), ErrorCode.WRONG_TYPE, "context"),
        (body(id=""), ErrorCode.INVALID_VALUE, "id"),
        (body(id="x" * 101), ErrorCode.INVALID_VALUE, "id"),
        (body(userId=5), ErrorCode.WRONG_TYPE, "userId"),
        (body(anonymousId={}), ErrorCode.WRONG_TYPE, "anonymousId"),
        (body(timestamp=1354408208), ErrorCode.WRONG_TYPE, "timestamp"),
        (body(timestamp="yesterday"), ErrorCode.INVALID_TIMESTAMP, "timestamp"),
        (body(timestamp="2012-12-02T00:30:08"), ErrorCode.INVALID_TIMESTAMP, "timestamp"),
        (body(timestamp="2012-13-02T00:30:08Z"), ErrorCode.INVALID_TIMESTAMP, "timestamp"),
        (body(timestamp="1812-12-02T00:30:08Z"), ErrorCode.INVALID_TIMESTAMP, "timestamp"),
    ],
)
def test_refusal_when(sent: bytes, code: ErrorCode, field: str | None) -> None:
    """Each fault is refused with its own code and names the member to mend."""
    with pytest.raises(InvalidEvent) as refusal:
        parse_event(sent)

    assert (refusal.value.code, refusal.value.field) == (code, field)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
def test_refusal_when_nested_too_deep(depth: int) -> None:
    """Nesting past the limit is refused by its own code, however deep, and up to the limit it is not."""
    nested = b'{"a":' * depth + b"1" + b"}" * depth

    with pytest.raises(InvalidEvent) as refusal:
        parse_event(body()[:-1] + b',"properties":' + nested + b"}")

    assert refusal.value.code is ErrorCode.TOO_DEEP
    at_limit = b'{"a":' * MAX_DEPTH + b'"' + b"{" * 100 + b'"' + b"}" * MAX_DEPTH
    parse_event(body()[:-1] + b',"properties":' + at_limit + b"}")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
def test_refusal_when_unknown_member_nests_too_deep(depth: int) -> None:
    """What nobody reads is held to the same limit: the stream, whose stack is higher, must be able to skip it."""
    with pytest.raises(InvalidEvent) as refusal:
        parse_event(body()[:-1] + b',"more":' + b"[" * depth + b"]" * depth + b"}")

    assert refusal.value.code is ErrorCode.TOO_DEEP
    parse_event(body()[:-1] + b',"more":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_refusal_when_arbitrary_bytes(sent: bytes) -> None:
    """Whatever is sent is accepted or refused as InvalidEvent; no other error escapes."""
    with suppress(InvalidEvent):
        assert parse_event(sent).version == 1


@given(st.dictionaries(st.text(max_size=20), st.none() | st.integers() | st.text(max_size=20), max_size=5))
def test_properties_when_any_object(properties: dict[str, object]) -> None:
    """Every JSON object comes back as the text that was sent."""
    text = json.dumps(properties)

    event = parse_event(body()[:-1] + b',"properties":' + text.encode() + b"}")

    assert json_text(event.properties) == text


def test_micros_when_zone_is_not_utc() -> None:
    """Times become microseconds since 1970 in UTC."""
    event = parse_event(body(timestamp="2012-12-02T02:30:08.276001+02:00"))

    assert event.timestamp is not None
    assert to_micros(event.timestamp) == to_micros(datetime(2012, 12, 2, 0, 30, 8, 276001, tzinfo=UTC))


def test_event_id_when_derived() -> None:
    """A sender's id always gives the same UUIDv5, and another one for another team."""
    derived = derive_event_id("acme", "order-1")

    assert derived == derive_event_id("acme", "order-1") == UUID("852076fa-7e2c-5b0b-85f1-ddb4a975602a")
    assert derived.version == 5
    assert derived != derive_event_id("other", "order-1")
