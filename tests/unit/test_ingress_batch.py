"""Bodies with several events: exact slices, and no event suffers from another's fault."""

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress import answers
from ingress.batch import Item, Result, Sorted, Status, sort, split_array, split_lines
from ingress.envelope import arrival, sender
from schemas.errors import ErrorCode, InvalidEvent

SENDER = sender("acme", "tok_1", enabled=True, expires_at=math.inf)
MAX_EVENTS = 5
GOOD = b'{"version":1,"type":"event","event":"x"}'
CALL = b'{"type":"track","event":"x","messageId":"m1"}'


def sorted_items(*items: Item) -> Sorted:
    """The items, of which none may exceed 1,000 bytes."""
    return sort(items, SENDER, arrival(0, bytes(range(50))), 1000)


def test_array_when_split() -> None:
    """Each event is its slice of the body, with its spaces and digits."""
    items, sent_at = split_array(
        b' {"sentAt":"2026-11-24T05:00:00Z", "batch": [ {"a": 1.50 } ,7,{"\xc3\xa9":[]}], "b":1}', MAX_EVENTS
    )

    assert items == [(0, b'{"a": 1.50 }'), (1, b"7"), (2, b'{"\xc3\xa9":[]}')]
    assert sent_at == "2026-11-24T05:00:00Z"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", ErrorCode.WRONG_TYPE),
        (b"[]", ErrorCode.WRONG_TYPE),
        (b'{"batch":["' + b'\\"' * 500_000, ErrorCode.INVALID_JSON),
        (b'{"batch":{}}', ErrorCode.WRONG_TYPE),
        (b'{"batch":[],"sentAt":5}', ErrorCode.WRONG_TYPE),
        (b'{"batch":[', ErrorCode.INVALID_JSON),
        (b'{"batch":[1],"a":"\xff"}', ErrorCode.INVALID_JSON),
        (b'{"batch":[NaN],"batch":[1]}', ErrorCode.INVALID_JSON),
        (b'{"a":["batch",[NaN]]}', ErrorCode.INVALID_JSON),
        (b'{"batch":[' + b"," * MAX_EVENTS + b"]}", ErrorCode.INVALID_JSON),
        (b'{"batch":[]}x', ErrorCode.INVALID_JSON),
        (b'{"batch":' + b"[" * 100_000, ErrorCode.TOO_DEEP),
    ],
)
def test_array_when_it_is_none(body: bytes, code: ErrorCode) -> None:
    """A body that is no batch is refused as a whole."""
    with pytest.raises(InvalidEvent) as refusal:
        split_array(body, MAX_EVENTS)

    assert refusal.value.code is code


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"version":1,"type":"event","event":"x","properties":{"price":NaN}}', ErrorCode.INVALID_JSON),
        (b'{"version":1,"type":"event","event":"\xff"}', ErrorCode.INVALID_JSON),
        (b'{"version":1,"type":"event","event":"\\ud800"}', ErrorCode.INVALID_JSON),
        (b'{"version":1,"type":"event","event":"]\\"," , "x":[1,{"a":2,}]}', ErrorCode.INVALID_JSON),
        (b'{"version":1,"type":"event","event":"x","x":%b}' % (b"[" * 5_000 + b"]" * 5_000), ErrorCode.TOO_LARGE),
        (b'{"version":1,"type":"event","event":"x","x":%b}' % (b"[" * 470 + b"]" * 470), ErrorCode.TOO_DEEP),
        (b"", ErrorCode.INVALID_JSON),
    ],
)
def test_array_when_one_event_is_no_json(bad: bytes, code: ErrorCode) -> None:
    """It alone is refused; those around it are exact slices still, and the rest of the body is read."""
    body = b'{ "x":"batch", "batch" : [ %b,\n%b , %b], "sentAt":"now" }' % (GOOD, bad, CALL)

    items, sent_at = split_array(body, MAX_EVENTS)

    found = sorted_items(*items)
    assert [(index, record.value) for index, record in found.accepted] == [(0, GOOD), (2, CALL)]
    assert [(result.index, result.code) for result in found.rejected] == [(1, code)]
    assert sent_at == "now"


@given(st.binary(max_size=300))
def test_array_when_arbitrary_bytes(body: bytes) -> None:
    """No error but InvalidEvent escapes, from the body or from its events."""
    with suppress(InvalidEvent):
        sorted_items(*split_array(b'{"batch":[' + body + b"]}", MAX_EVENTS)[0])


def test_lines_when_split() -> None:
    """Every line that is not blank is an event, numbered as a text editor would, from 0."""
    assert split_lines(b'{"a":1}\r\n\n {"b":2}') == ([(0, b'{"a":1}\r'), (2, b' {"b":2}')], None)


def test_events_when_some_are_bad() -> None:
    """Good events are wrapped in their order, each with its own id; bad ones tell what is wrong with them."""
    found = sorted_items((0, GOOD), (1, b"7"), (2, CALL), (3, GOOD), (4, GOOD + b" " * 1000))

    assert [(index, record.value) for index, record in found.accepted] == [(0, GOOD), (2, CALL), (3, GOOD)]
    assert len({record.event_id for _, record in found.accepted}) == 3
    assert [(result.index, result.code) for result in found.rejected] == [
        (1, ErrorCode.WRONG_TYPE),
        (4, ErrorCode.TOO_LARGE),
    ]


def test_headers_when_of_either_format() -> None:
    """A call of the Segment family is marked as such, with its kind; an event of ours as ever."""
    found = sorted_items((0, GOOD), (1, CALL))

    ours, call = (dict(record.headers) for _, record in found.accepted)
    assert (ours["format"], ours.get("kind")) == (b"event.v1", None)
    assert (call["format"], call["kind"]) == (b"segment.v1", b"track")


def test_results_when_not_all_acknowledged() -> None:
    """Each event has its own outcome, by index."""
    found = sorted_items((0, GOOD), (1, b"7"), (2, GOOD))

    statuses = [(result.index, result.status) for result in found.results([True, False])]
    assert statuses == [(0, Status.ACCEPTED), (1, Status.REJECTED), (2, Status.UNKNOWN)]


ACCEPTED = Result(0, Status.ACCEPTED, "e1")
REJECTED = Result(1, Status.REJECTED, None, ErrorCode.TOO_LARGE, "too large", None)
UNKNOWN = Result(2, Status.UNKNOWN, "e3")


@pytest.mark.parametrize(
    ("results", "status", "success"),
    [
        ([], 200, True),
        ([ACCEPTED], 200, True),
        ([ACCEPTED, REJECTED], 200, False),
        ([REJECTED], 413, False),
        ([ACCEPTED, UNKNOWN], 503, False),
        ([REJECTED, UNKNOWN], 503, False),
    ],
)
def test_answer_when_a_batch(results: list[Result], status: int, *, success: bool) -> None:
    """200 where anything is accepted and all is known; a client that looks at nothing else sends the rest again."""
    answer = answers.batch(results, "r1")

    assert isinstance(answer.body, bytes)
    body = json.loads(answer.body)
    assert (answer.status, body["success"]) == (status, success)
    assert [result["index"] for result in body["results"]] == [result.index for result in results]
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert status == 200 or (isinstance(body["code"], str) and isinstance(body["message"], str))
