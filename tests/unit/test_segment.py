"""Calls of the Segment family, as they read to analysts."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ErrorCode, InvalidEvent
from schemas.formats import parse, parse_any
from schemas.segment import CALLS, parse_call


@pytest.mark.parametrize(
    ("kind", "sent", "event", "properties"),
    [
        ("track", b'{"event":"Bought","properties":{"price": 39.950}}', "Bought", '{"price": 39.950}'),
        ("track", b'{"event":"Bought"}', "Bought", "{}"),
        ("identify", b'{"traits":{"plan":"pro"},"properties":{"a":1}}', "identify", '{"plan":"pro"}'),
        ("identify", b'{"context":{"a":1,"traits":{"n": 1.50}}}', "identify", '{"n": 1.50}'),
        ("identify", b'{"context":{"traits":{"n":1}},"traits":{}}', "identify", "{}"),
        ("identify", b'{"context":{"traits":[1]},"traits":null}', "identify", "{}"),
        ("identify", b'{"context":null}', "identify", "{}"),
        (
            "page",
            b'{"name":"Home","category":"Docs","properties":{"p":1}}',
            "Home",
            '{"name":"Home","category":"Docs","p":1}',
        ),
        ("page", b'{"properties":{"p":1e2}}', "page", '{"p":1e2}'),
        ("screen", b'{"name":"Cart"}', "Cart", '{"name":"Cart"}'),
        ("screen", b'{"name":"%b"}' % (b"x" * 201), "screen", '{"name":"%s"}' % ("x" * 201)),
        ("group", b'{"groupId":"g1","traits":{ "x":1}}', "group", '{"groupId":"g1","x":1}'),
        ("alias", b'{"previousId":7}', "alias", '{"previousId":7}'),
    ],
)
def test_call_when_read(kind: str, sent: bytes, event: str, properties: str) -> None:
    """Name and properties are where analysts look for them, free JSON in the sender's own digits and order."""
    call = parse_call(kind, sent)

    assert (call.kind, call.event, call.properties_json) == (kind, event, properties)


def test_call_when_common_members() -> None:
    """The sender's id is messageId, ids may be numbers, and a time without a zone is UTC."""
    call = parse_call(
        "track", b'{"event":"x","messageId":"m1","userId":5,"timestamp":"2026-11-24T05:00:00","context":{}}'
    )

    assert (call.id, call.user_id, call.time) == ("m1", 5, datetime(2026, 11, 24, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "sent", "code", "field"),
    [
        ("track", b"{}", ErrorCode.MISSING_MEMBER, "event"),
        ("track", b'{"event":""}', ErrorCode.INVALID_VALUE, "event"),
        ("track", b'{"event":"x","properties":[]}', ErrorCode.WRONG_TYPE, "properties"),
        ("identify", b'{"traits":7}', ErrorCode.WRONG_TYPE, "traits"),
        ("page", b'{"name":7}', ErrorCode.WRONG_TYPE, "name"),
        ("page", b'{"context":"x"}', ErrorCode.WRONG_TYPE, "context"),
        ("track", b'{"event":"x","messageId":"%b"}' % (b"m" * 101), ErrorCode.INVALID_VALUE, "messageId"),
        ("track", b'{"event":"x","timestamp":"yesterday"}', ErrorCode.INVALID_TIMESTAMP, "timestamp"),
        ("track", b'{"event":"x","timestamp":"1812-01-01T00:00:00"}', ErrorCode.INVALID_TIMESTAMP, "timestamp"),
        ("alias", b"[]", ErrorCode.WRONG_TYPE, None),
        ("group", b"{", ErrorCode.INVALID_JSON, None),
        ("group", b"\xff", ErrorCode.INVALID_JSON, None),
        ("group", b'{"traits":' + b"[" * 100_000, ErrorCode.TOO_DEEP, None),
    ],
)
def test_refusal_when(kind: str, sent: bytes, code: ErrorCode, field: str | None) -> None:
    """Each fault is refused with its own code and names the member to mend."""
    with pytest.raises(InvalidEvent) as refusal:
        parse_call(kind, sent)

    assert (refusal.value.code, refusal.value.field) == (code, field)


@given(st.sampled_from(sorted(CALLS)), st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_refusal_when_arbitrary_bytes(kind: str, sent: bytes) -> None:
    """Whatever is sent is accepted or refused as InvalidEvent; no other error escapes."""
    with suppress(InvalidEvent):
        assert parse_call(kind, sent).kind == kind


@given(
    st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=4),
    st.text(max_size=5) | st.none(),
)
def test_properties_when_joined(properties: dict[str, object], category: str | None) -> None:
    """A member that joins the properties leaves them as they are, and the whole is JSON."""
    sent = json.dumps({"category": category, "properties": properties}).encode()

    joined = json.loads(parse_call("page", sent).properties_json)

    assert joined == ({} if category is None else {"category": category}) | properties


def test_any_when_of_either_format() -> None:
    """The member `type` decides; what names no call is read as an event of ours, which says what is wrong."""
    assert parse_any(b'{"event":"x","type":"track"}').kind == "track"
    assert parse_any(b'{"version":1,"type":"event","event":"x"}').kind == "event"
    with pytest.raises(InvalidEvent) as refusal:
        parse_any(b'{"version":1,"type":"beep","event":"x"}')
    assert (refusal.value.code, refusal.value.field) == (ErrorCode.INVALID_VALUE, "type")


@pytest.mark.parametrize(("form", "kind"), [("event.v9", ""), ("segment.v1", "beep"), ("segment.v1", "")])
def test_format_when_unknown(form: str, kind: str) -> None:
    """A format or a kind that nobody knows is refused as such."""
    with pytest.raises(InvalidEvent) as refusal:
        parse(form, kind, b"{}")

    assert refusal.value.code is ErrorCode.UNKNOWN_FORMAT
