"""Members of an event that carry free JSON: kept as exact slices of the body, so that no number is ever re-written.

Also the translation of msgspec's words into a code, a field and an instruction, for every format.
"""

import re
from collections.abc import Mapping
from itertools import accumulate

import msgspec

from schemas.errors import ErrorCode, InvalidEvent

MAX_DEPTH = 64
EMPTY_OBJECT = "{}"
ABSENT = msgspec.Raw(b"null")
"""A free member that is null counts as absent."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading a body raises."""

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_AT = re.compile(r" - at `\$\.?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")


def json_text(member: msgspec.Raw) -> str:
    """The text of a free member, `{}` where it is absent."""
    return EMPTY_OBJECT if member == ABSENT else bytes(member).decode()


def check_object(field: str, member: msgspec.Raw) -> None:
    """Free JSON is an object, no deeper than MAX_DEPTH, and holds only what ClickHouse can read as well.

    Raises:
        InvalidEvent: with the member that its sender must mend.
        msgspec.DecodeError: where it is no JSON.
        RecursionError: where it nests far too deep.
    """
    if member == ABSENT:
        return
    json = bytes(member)
    if json[:1] != b"{":
        raise InvalidEvent(ErrorCode.WRONG_TYPE, f"{field} must be an object.", field)
    if _nests_deeper(json, MAX_DEPTH):
        raise too_deep(field)
    try:
        msgspec.json.decode(json)
    except msgspec.ValidationError as error:
        message = f"{field} holds a number beyond the range of a double."
        raise InvalidEvent(ErrorCode.INVALID_VALUE, message, field) from error


def check_depth(body: bytes) -> None:
    """No member of a body nests too deep, whether anybody reads it or not: behind the ingress the stack is higher.

    Raises:
        InvalidEvent: where one does.
    """
    if _nests_deeper(body, MAX_DEPTH + 1):
        raise too_deep(None)


def too_deep(field: str | None) -> InvalidEvent:
    """The refusal of what nests too deep."""
    where = field or "The body"
    return InvalidEvent(ErrorCode.TOO_DEEP, f"{where} must not nest deeper than {MAX_DEPTH} levels.", field)


def refusal(error: Exception, rules: Mapping[str, str]) -> InvalidEvent:
    """The refusal that one of UNREADABLE means; `rules` says of each member what it must be."""
    if isinstance(error, msgspec.ValidationError):
        return _explain(str(error), rules)
    return unreadable(error)


def unreadable(error: Exception) -> InvalidEvent:
    """The refusal of what is no JSON, or nests far too deep."""
    if isinstance(error, RecursionError):
        return too_deep(None)
    return InvalidEvent(ErrorCode.INVALID_JSON, f"The body must be JSON in UTF-8: {error}.")


def _explain(problem: str, rules: Mapping[str, str]) -> InvalidEvent:
    """Translate msgspec's words."""
    if missing := _MISSING.search(problem):
        field = missing[1]
        return InvalidEvent(ErrorCode.MISSING_MEMBER, f"{field} is missing: it must be {rules[field]}.", field)
    at = _AT.search(problem)
    field = at[1] if at else ""
    if field not in rules:
        return InvalidEvent(ErrorCode.WRONG_TYPE, "The body must be one JSON object.")
    code = ErrorCode.INVALID_VALUE
    if field == "timestamp" and "got" not in problem:
        code = ErrorCode.INVALID_TIMESTAMP
    elif ", got " in problem:
        code = ErrorCode.WRONG_TYPE
    return InvalidEvent(code, f"{field} must be {rules[field]}.", field)


def _nests_deeper(json: bytes, levels: int) -> bool:
    """Whether objects and arrays nest deeper in well-formed JSON; most has fewer of them, and is not looked into."""
    if json.count(b"{") + json.count(b"[") <= levels:
        return False
    brackets = _STRINGS.sub(b"", json).translate(None, _NO_BRACKETS)
    return max(accumulate(1 if bracket in b"{[" else -1 for bracket in brackets), default=0) > levels
