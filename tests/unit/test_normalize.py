"""Normalizing is pure: what comes out for each kind of raw record, and that nothing else ever comes out."""

import json
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import ENVELOPE_FIELDS, decode_envelope
from schemas.errors import ErrorCode, InvalidEvent
from schemas.topics import MAX_RECORD_BYTES
from stream.dead_letter import NOT_COPIED, dead_letter
from stream.normalize import normalize, normalize_run
from stream.records import RawHeaders

EVENT_ID = "0190d9a0-0000-7000-8000-000000000001"
HEADERS = {
    "event_id": EVENT_ID.encode(),
    "team": b"demo",
    "token_id": b"7",
    "format": b"event.v1",
    "received_at": b"2026-11-23T10:00:00.123456Z",
}
BODY = (
    b'{"version": 1, "type": "event", "event": "Purchased an Item", "userId": "u1",'
    b' "properties": {"price": 39.950, "id": 12345678901234567890, "a":  [1,2]},'
    b' "context": {"ip": "10.0.0.1"}, "timestamp": "2012-12-02T00:30:08.276Z"}'
)


@dataclass(frozen=True)
class Raw:
    """A raw record as aiokafka gives it."""

    key: bytes | None = b"demo/u1"
    value: bytes | None = BODY
    headers: RawHeaders = field(default_factory=lambda: tuple(HEADERS.items()))
    partition: int = 3
    offset: int = 41
    timestamp: int = 2


def with_header(name: str, value: bytes | None) -> Raw:
    """A good record but for one header; None leaves it out."""
    return Raw(headers=tuple((HEADERS | {name: value}).items()))


def refusal(record: Raw) -> InvalidEvent:
    """Why this record cannot be normalized."""
    with pytest.raises(InvalidEvent) as caught:
        normalize(record)
    return caught.value


def test_normalize_fills_every_field_of_the_envelope() -> None:
    """Each member lands in its field, free JSON as the exact slice of the body with all its digits."""
    key, value, headers = normalize(replace(with_header("sent_at", b"2026-11-23T09:59:59Z")))

    assert key == b"demo/u1"
    assert value is not None
    event = decode_envelope(value)
    assert tuple(event) == ENVELOPE_FIELDS
    assert event == {
        "event_id": uuid.UUID(EVENT_ID),
        "team": "demo",
        "event": "Purchased an Item",
        "kind": "event",
        "user_id": "u1",
        "anonymous_id": "",
        "occurred_at": datetime(2012, 12, 2, 0, 30, 8, 276000, UTC),
        "sent_at": datetime(2026, 11, 23, 9, 59, 59, tzinfo=UTC),
        "received_at": datetime(2026, 11, 23, 10, 0, 0, 123456, UTC),
        "properties_json": '{"price": 39.950, "id": 12345678901234567890, "a":  [1,2]}',
        "context_json": '{"ip": "10.0.0.1"}',
        "raw_partition": 3,
        "raw_offset": 41,
    }
    assert headers == [("event_id", EVENT_ID.encode()), ("team", b"demo"), ("raw_offset", b"41")]


def test_normalize_dates_an_event_by_its_receipt_when_its_sender_gave_no_time() -> None:
    """occurred_at falls back on received_at; absent members are empty."""
    _, value, _ = normalize(Raw(value=b'{"version":1,"type":"event","event":"e"}'))

    assert value is not None
    event = decode_envelope(value)
    assert event["occurred_at"] == event["received_at"]
    assert (event["user_id"], event["sent_at"], event["properties_json"]) == ("", None, "{}")


@pytest.mark.parametrize(
    ("record", "code", "at"),
    [
        (with_header("event_id", None), ErrorCode.MISSING_HEADER, "event_id"),
        (with_header("team", None), ErrorCode.MISSING_HEADER, "team"),
        (with_header("format", None), ErrorCode.MISSING_HEADER, "format"),
        (with_header("received_at", None), ErrorCode.MISSING_HEADER, "received_at"),
        (Raw(headers=()), ErrorCode.MISSING_HEADER, "event_id"),
        (with_header("event_id", b"17"), ErrorCode.INVALID_HEADER, "event_id"),
        (with_header("event_id", b"{0190d9a0-0000-7000-8000-000000000001}"), ErrorCode.INVALID_HEADER, "event_id"),
        (with_header("event_id", b"\xff"), ErrorCode.INVALID_HEADER, "event_id"),
        (with_header("team", b"no-slug"), ErrorCode.INVALID_HEADER, "team"),
        (with_header("team", b"system"), ErrorCode.INVALID_HEADER, "team"),
        (with_header("received_at", b"yesterday"), ErrorCode.INVALID_HEADER, "received_at"),
        (with_header("received_at", b"2026-11-23T10:00:00"), ErrorCode.INVALID_HEADER, "received_at"),
        (with_header("received_at", b"0001-01-01T00:00:00Z"), ErrorCode.INVALID_HEADER, "received_at"),
        (with_header("sent_at", b""), ErrorCode.INVALID_HEADER, "sent_at"),
        (with_header("format", b"event.v2"), ErrorCode.UNKNOWN_FORMAT, "format"),
        (Raw(key=None), ErrorCode.MISSING_MEMBER, "key"),
        (Raw(value=None), ErrorCode.INVALID_JSON, None),
        (Raw(value=b""), ErrorCode.INVALID_JSON, None),
        (Raw(value=b'{"event": "\xff"}'), ErrorCode.INVALID_JSON, None),
        (Raw(value=b'{"version":1,"type":"event"}'), ErrorCode.MISSING_MEMBER, "event"),
        (Raw(key=b"k" * MAX_RECORD_BYTES), ErrorCode.TOO_LARGE, None),
    ],
)
def test_normalize_says_what_is_wrong_with_a_record_of_somebody_else(
    record: Raw, code: ErrorCode, at: str | None
) -> None:
    """Each fault has its code from the closed list and names the header or member."""
    error = refusal(record)

    assert (error.code, error.field) == (code, at)


def test_dead_letter_carries_the_raw_record_untouched_and_the_reason() -> None:
    """Key, value and raw headers are the same bytes; a raw header cannot pose as one of ours."""
    record = Raw(value=b"\xff\x00", headers=((*HEADERS.items(), ("reason", b"forged"), ("x", None))))

    key, value, headers = dead_letter(record, InvalidEvent(ErrorCode.WRONG_TYPE, "No \ud800.", "properties.a"))

    assert (key, value) == (b"demo/u1", b"\xff\x00")
    assert headers == [
        *HEADERS.items(),
        ("x", None),
        ("reason", b"wrong_type"),
        ("field", b"properties.a"),
        ("detail", b"No ?."),
        ("raw_partition", b"3"),
        ("raw_offset", b"41"),
    ]


@pytest.mark.parametrize(
    "record",
    [
        Raw(value=b"v" * MAX_RECORD_BYTES),
        Raw(headers=(("h", b"h" * MAX_RECORD_BYTES),)),
        Raw(key=b"k" * MAX_RECORD_BYTES),
    ],
)
def test_dead_letter_of_a_huge_record_points_at_it_instead_of_copying_it(record: Raw) -> None:
    """Whatever is too large to be produced again is left out, and the detail says where it is."""
    letter = dead_letter(record, InvalidEvent(ErrorCode.TOO_LARGE, "m" * 10_000))

    size = (
        len(letter.key or b"") + len(letter.value or b"") + sum(len(name) + len(v or b"") for name, v in letter.headers)
    )
    headers = dict(letter.headers)
    assert size <= MAX_RECORD_BYTES
    assert letter.value is None
    assert (headers["detail"] or b"").decode().endswith(NOT_COPIED)
    assert (headers["raw_partition"], headers["raw_offset"]) == (b"3", b"41")


def test_normalize_run_keeps_order_and_counts_reasons() -> None:
    """Good and bad records part, each in their order, and the bad ones are counted by reason."""
    records = [replace(Raw() if number % 3 else Raw(value=b"{"), offset=number) for number in range(7)]

    run = normalize_run(records)

    assert [dict(record.headers)["raw_offset"] for record in run.normalized] == [b"1", b"2", b"4", b"5"]
    assert [dict(record.headers)["raw_offset"] for record in run.dead_letters] == [b"0", b"3", b"6"]
    assert run.reasons == {ErrorCode.INVALID_JSON: 3}


def test_normalize_gives_the_same_bytes_whenever_it_is_asked() -> None:
    """A run that is redone after a crash writes what it wrote before."""
    assert normalize(Raw()) == normalize(Raw())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()),
    headers=st.lists(st.tuples(st.sampled_from([*HEADERS, "sent_at", "x"]) | st.text(), st.none() | st.binary())),
)
def test_normalize_raises_nothing_but_invalid_event(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """Any bytes in any place become a record or a dead letter; nothing stops the pipeline."""
    for given_headers in (headers, [*headers, *HEADERS.items()]):
        run = normalize_run([Raw(key, value, given_headers)])

        assert len(run.normalized) + len(run.dead_letters) == 1


@given(
    name=st.text(min_size=1, max_size=200),
    user=st.text() | st.none(),
    sent=st.tuples(st.dictionaries(st.text(), json_values, max_size=4), st.booleans()).map(
        lambda chosen: json.dumps(chosen[0], ensure_ascii=chosen[1])
    ),
)
def test_normalize_keeps_free_json_as_it_was_sent(name: str, user: str | None, sent: str) -> None:
    """properties_json is the slice of the body, character for character, whatever it holds."""
    members = f'"event": {json.dumps(name)}, "properties": {sent}, "userId": {json.dumps(user)}'
    body = f'{{{members}, "version": 1, "type": "event"}}'

    run = normalize_run([Raw(value=body.encode())])

    for record in run.normalized:
        assert record.value is not None
        event = decode_envelope(record.value)
        assert (event["event"], event["user_id"], event["properties_json"]) == (name, user or "", sent)
    assert run.normalized or run.reasons.keys() <= {ErrorCode.INVALID_JSON, ErrorCode.INVALID_VALUE}


def call(kind: str, value: bytes, **headers: bytes) -> Raw:
    """A raw record of a call of the Segment family."""
    named = HEADERS | {"format": b"segment.v1", "kind": kind.encode()} | headers
    return Raw(value=value, headers=tuple(named.items()))


def test_normalize_when_a_call_of_the_segment_family() -> None:
    """It fills the same envelope; its kind is kept, ids are text, and what has no column joins the properties."""
    _, value, _ = normalize(call("group", b'{"userId":7,"groupId":"g1","traits":{"seats":  1.50},"context":{"a":1}}'))

    assert value is not None
    event = decode_envelope(value)
    assert (event["event"], event["kind"], event["user_id"], event["anonymous_id"]) == ("group", "group", "7", "")
    assert event["properties_json"] == '{"groupId":"g1","seats":  1.50}'
    assert event["context_json"] == '{"a":1}'


@pytest.mark.parametrize(
    ("sent_at", "occurred"),
    [
        (None, "2026-11-23T09:00:00Z"),
        ("2026-11-23T09:59:29.123456Z", "2026-11-23T09:00:00Z"),
        ("2026-11-23T10:02:00.123456Z", "2026-11-23T09:00:00Z"),
        ("2026-11-23T10:02:01.123456Z", "2026-11-23T08:57:59Z"),
        ("2026-11-23T09:00:00.123456Z", "2026-11-23T10:00:00Z"),
        ("2026-11-22T09:00:00.123456Z", "2026-11-24T10:00:00Z"),
        ("2053-01-01T09:00:00.123456Z", "2000-10-14T10:00:00Z"),
    ],
)
def test_time_when_the_senders_clock_is_wrong(sent_at: str | None, occurred: str) -> None:
    """Received at 10:00:00.123456.  A difference that a slow request could make is none."""
    headers = {} if sent_at is None else {"sent_at": sent_at.encode()}

    _, value, _ = normalize(call("track", b'{"event":"x","timestamp":"2026-11-23T09:00:00Z"}', **headers))

    assert value is not None
    assert decode_envelope(value)["occurred_at"] == datetime.fromisoformat(occurred)


@pytest.mark.parametrize("kind", [None, b"beep"])
def test_refusal_when_kind_is_not_known(kind: bytes | None) -> None:
    """A call must say which one it is."""
    record = Raw(value=b"{}", headers=tuple((HEADERS | {"format": b"segment.v1", "kind": kind}).items()))

    assert refusal(record).code is ErrorCode.UNKNOWN_FORMAT
