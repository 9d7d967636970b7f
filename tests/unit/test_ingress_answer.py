"""The bytes of an answer."""

import re

import pytest

from ingress.answer import Answer

DATE = re.compile(rb"Date: [A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n")


def encoded(answer: Answer, method: str = "POST", *, is_1_1: bool = True) -> bytes:
    """The bytes without the date, which is there."""
    without, dates = DATE.subn(b"", answer.encode(method, is_1_1=is_1_1))
    assert dates == 1
    return without


def answer(*, keep_alive: bool, status: int = 200, body: bytes = b"{}") -> Answer:
    """An answer with one header."""
    made = Answer(status, body, {"A": "b"})
    made.keep_alive = keep_alive
    return made


def test_bytes_when_connection_stays_open() -> None:
    """HTTP/1.1 keeps a connection open without a word."""
    assert encoded(answer(keep_alive=True)) == b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("keep_alive", "is_1_1", "line"),
    [(False, True, b"Connection: close"), (True, False, b"Connection: keep-alive"), (False, False, None)],
)
def test_bytes_when_the_version_says_otherwise(*, keep_alive: bool, is_1_1: bool, line: bytes | None) -> None:
    """What differs from the client's version of HTTP is said (RFC 9112, 9.3)."""
    lines = encoded(answer(keep_alive=keep_alive), is_1_1=is_1_1).split(b"\r\n")

    assert lines[0] == (b"HTTP/1.1 200 OK" if is_1_1 else b"HTTP/1.0 200 OK")
    assert [found for found in lines if found.startswith(b"Connection")] == ([line] if line else [])


def test_bytes_when_only_the_head_is_asked_for() -> None:
    """HEAD is told the length of what it does not get (RFC 9110, 9.3.2)."""
    assert encoded(answer(keep_alive=True), "HEAD") == b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n"


def test_bytes_when_there_is_no_body() -> None:
    """204 has no length either (RFC 9110, 8.6)."""
    made = answer(keep_alive=True, status=204, body=b"")

    assert encoded(made, "OPTIONS") == b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"
