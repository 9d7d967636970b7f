"""What the ingress tells the Live page of refused events: never a token, never too much."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress import answers
from ingress.accounts.tokens import mint
from ingress.batch import Result, Status
from ingress.envelope import sender
from ingress.refusals import MAX_BODY_BYTES, MAX_WAITING, REFUSED, TEAM_PER_SECOND, Asked, Refusals, refusals_in
from schemas.errors import ErrorCode, InvalidEvent, Unavailable
from schemas.metrics import REFUSALS_DROPPED

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SENDER = sender("demo", "tok_1", enabled=True, expires_at=math.inf)
WRONG = answers.refused(InvalidEvent(ErrorCode.WRONG_TYPE, "event must be a string.", "event"), "r1").body
BAD = Result(1, Status.REJECTED, None, ErrorCode.INVALID_JSON, "No JSON.", None)
GOOD = Result(0, Status.ACCEPTED, "0192")


def told(answer: bytes, sent: bytes | list[tuple[int, bytes]] | None = None) -> list[dict[str, Any]]:
    """What is in the topic for an answer."""
    refusals = Refusals()
    refusals.note(SENDER, Asked("/v1/event", "r1", sent), answer, NOW.timestamp())
    return [msgspec.json.decode(record.value) for record in refusals.waiting]


def test_record_when_event_is_refused() -> None:
    """All that its sender was told, what was sent, and whose it is."""
    refusals = Refusals()

    refusals.note(SENDER, Asked("/v1/event", "r1", b'{"event":1}'), WRONG, NOW.timestamp())

    (record,) = refusals.waiting
    assert record.headers == [("team", b"demo"), ("token_id", b"tok_1")]
    assert msgspec.json.decode(record.value) == {
        "code": "wrong_type",
        "field": "event",
        "message": "event must be a string.",
        "request_id": "r1",
        "received_at": "2026-11-24T00:00:00Z",
        "path": "/v1/event",
        "body": '{"event":1}',
    }


def test_records_when_events_of_a_batch_are_refused() -> None:
    """One for each, with its own slice; nothing of those that were accepted, or of which nothing is known."""
    unknown = Result(2, Status.UNKNOWN, "0193")
    sent = [(0, b"{}"), (1, b"{"), (2, b"[]")]

    in_part = told(answers.batch([GOOD, BAD], "r1").body, sent)
    unknown_too = told(answers.batch([GOOD, BAD, unknown], "r1").body, sent)

    assert in_part == unknown_too
    assert [(refused["code"], refused["body"]) for refused in in_part] == [("invalid_json", "{")]


def test_nothing_when_outcome_is_unknown() -> None:
    """503 refuses no event: it may even be stored."""
    assert told(answers.refused(Unavailable("later"), "r1").body, b"{}") == []


@pytest.mark.parametrize("answer", [WRONG, answers.batch([GOOD, BAD], "r1").body])
def test_prefix_when_anything_is_refused(answer: bytes) -> None:
    """The beginning by which an answer is recognized is that of our answers."""
    assert answer.startswith(REFUSED)
    assert not answers.accepted("0192", "r1").body.startswith(REFUSED)
    assert not answers.batch([GOOD], "r1").body.startswith(REFUSED)


@given(before=st.text(max_size=3 * MAX_BODY_BYTES), escaped=st.sets(st.integers(0, 41)))
def test_body_when_it_holds_a_token(before: str, escaped: set[int]) -> None:
    """Wherever a token stands, across the cut too, and however it is escaped, no part of it is told."""
    token = mint()
    written = "".join(f"\\u{ord(sign):04x}" if place in escaped else sign for place, sign in enumerate(token))
    body = f'{{"before":{msgspec.json.encode(before).decode()},"writeKey":"{written}"}}'.encode()

    (refused,) = refusals_in(WRONG, Asked("/v1/track", "r1", body), NOW)

    shown = refused.body or ""
    assert len(shown.encode()) <= MAX_BODY_BYTES + 8
    assert written[:14] not in shown
    assert token[:14] not in shown


@pytest.mark.parametrize("beyond", range(1, 42, 4))
def test_body_when_cut_goes_through_a_token(beyond: int) -> None:
    """Of a token that begins before the cut not even the first characters are told."""
    token = mint()
    body = b"x" * (MAX_BODY_BYTES - beyond) + token.encode()

    (refused,) = refusals_in(WRONG, Asked("/v1/event", "r1", body), NOW)

    assert (refused.body or "").strip("x") == "*" * beyond


def test_message_when_it_holds_a_token() -> None:
    """What repeats the input is masked with the rest."""
    token = mint()
    answer = answers.refused(InvalidEvent(ErrorCode.WRONG_TYPE, f"{token} must be.", token), "r1").body

    (refused,) = told(answer)

    assert token not in str(refused)
    assert refused["field"] == "*" * len(token)


def test_dropped_when_one_team_is_too_fast() -> None:
    """Twenty a second of each team, so that one leaves room for the others; what is dropped is counted."""
    refusals, other = Refusals(), sender("other", "tok_2", enabled=True, expires_at=math.inf)
    dropped = REFUSALS_DROPPED.labels("limit")._value
    before = dropped.get()
    for _ in range(3 * TEAM_PER_SECOND):
        refusals.note(SENDER, Asked("/v1/event", "r1", None), WRONG, 100.0)

    refusals.note(other, Asked("/v1/event", "r1", None), WRONG, 100.0)
    refusals.note(SENDER, Asked("/v1/event", "r1", None), WRONG, 101.0)

    assert len(refusals.waiting) == TEAM_PER_SECOND + 2
    assert dropped.get() - before == 2 * TEAM_PER_SECOND


def test_dropped_when_kafka_takes_nothing() -> None:
    """What waits has a bound, however many teams there are."""
    refusals = Refusals()

    for number in range(MAX_WAITING + 10):
        whose = sender(f"t{number}", "tok", enabled=True, expires_at=math.inf)
        refusals.note(whose, Asked("/v1/event", "r1", b"{}"), WRONG, 100.0)

    assert len(refusals.waiting) == MAX_WAITING
