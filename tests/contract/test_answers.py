"""Every refusal has one shape, which the clients rely on."""

import json

import pytest

from ingress import answers
from ingress.limits import RateLimited
from schemas.errors import ErrorCode, InvalidEvent, Unavailable

TEMPORARY = {ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE}


@pytest.mark.parametrize("code", sorted(set(ErrorCode) - TEMPORARY))
def test_answer_when_refused(code: ErrorCode) -> None:
    """A refusal is JSON with string `code` and `message`: old Segment clients send anything else again and again."""
    answer = answers.refused(InvalidEvent(code, "what to do", "a.b"), "r1")

    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {
        "success": False,
        "code": code.value,
        "message": "what to do",
        "request_id": "r1",
        "field": "a.b",
    }
    assert answer.status == code.status
    assert 400 <= answer.status < 500
    assert "Retry-After" not in answer.headers


def test_answer_when_rate_limited() -> None:
    """A 429 says when to come back, and has the shape of every refusal."""
    answer = answers.refused(RateLimited("too many", 5, 7), "r1")

    assert isinstance(answer.body, bytes)
    assert (answer.status, answer.headers["Retry-After"]) == (ErrorCode.RATE_LIMITED.status, "7")
    assert json.loads(answer.body) == {
        "success": False,
        "code": "rate_limited",
        "message": "too many",
        "request_id": "r1",
    }


def test_answer_when_unavailable() -> None:
    """A 503 says when to come back."""
    answer = answers.refused(Unavailable("away"), "r1")

    assert answer.status == ErrorCode.UNAVAILABLE.status == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_answer_when_accepted() -> None:
    """A success is exactly 200 with the event's id: older clients take no other status for one."""
    answer = answers.accepted("0190", "r1")

    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)) == (200, {"success": True, "id": "0190"})
