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

_decode = msgspec.json.Decoder().decode
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_AT = re.compile(r" - at `\$\.?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")


def json_text(member: msgspec.Raw) -> str:
    """The text of a free member, `{}` where it is absent."""
    return EMPTY_OBJECT if member == ABSENT else bytes(member).decode()


def check_free(body: bytes, *members: tuple[str, msgspec.Raw]) -> None:
    """Free JSON is an object, no deeper than MAX_DEPTH, and holds only what ClickHouse can read as well.

    Nor does any other member of the body nest too deep, whether anybody reads it or not: behind the ingress the stack
    is higher.

    Raises:
        InvalidEvent: with the member that its sender must mend.
        msgspec.DecodeError: where one is no JSON.
        RecursionError: where one nests far too deep.
    """
    # Most bodies have fewer brackets, and need not be looked into.
    may_be_deep = body.count(b"{") + body.count(b"[") > MAX_DEPTH
    for field, member in members:
        if member != ABSENT:
            _check_object(field, bytes(member), may_be_deep=may_be_deep)
    if may_be_deep and _depth(body) > MAX_DEPTH + 1:
        raise too_deep(None)


def _check_object(field: str, json: bytes, *, may_be_deep: bool) -> None:
    if json[:1] != b"{":
        raise InvalidEvent(ErrorCode.WRONG_TYPE, f"{field} must be an object.", field)
    if may_be_deep and _depth(json) > MAX_DEPTH:
        raise too_deep(field)
    try:
        _decode(json)
    except msgspec.ValidationError as error:
        message = f"{field} holds a number beyond the range of a double."
        raise InvalidEvent(ErrorCode.INVALID_VALUE, message, field) from error


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


def _depth(json: bytes) -> int:
    """How deep objects and arrays nest in well-formed JSON."""
    brackets = _STRINGS.sub(b"", json).translate(None, _NO_BRACKETS)
    return max(accumulate(1 if bracket in b"{[" else -1 for bracket in brackets), default=0)
