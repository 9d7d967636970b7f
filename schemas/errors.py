"""The errors that all parts share, and what each one asks of its caller.

    PipelineError
    ├── InvalidEvent      the event can never be accepted: 4xx at the edge, a dead letter behind it; never retried
    └── Unavailable       a service is away: retried with back-off behind the edge, 503 at it

Anything else is a bug and ends the process, so that nothing is acknowledged past it.
"""

from enum import StrEnum
from typing import Self


class ErrorCode(StrEnum):
    """The closed list of refusals: one word in the HTTP body, the dead letter's reason, the metric and the docs.

    Attributes:
        status: the HTTP status it answers with, where the ingress refuses it.
        meaning: what is wrong, as the docs say it.
    """

    status: int
    meaning: str

    def __new__(cls, value: str, status: int, meaning: str) -> Self:
        """Give the word its status and its meaning."""
        code = str.__new__(cls, value)
        code._value_ = value
        code.status = status
        code.meaning = meaning
        return code

    # The event itself: refused by the ingress, a dead letter behind it.
    INVALID_JSON = "invalid_json", 400, "The body is not JSON in UTF-8."
    MISSING_MEMBER = "missing_member", 400, "A required member is missing."
    WRONG_TYPE = "wrong_type", 400, "A member has another type than it must have."
    INVALID_VALUE = "invalid_value", 400, "A member has the right type, but not a value that is allowed."
    INVALID_TIMESTAMP = "invalid_timestamp", 400, "The timestamp is no RFC 3339 time with a zone, or out of range."
    TOO_DEEP = "too_deep", 400, "Objects and arrays nest too deep."
    TOO_LARGE = "too_large", 413, "The event, or the body, is larger than allowed."
    # The raw record around it: written by somebody else than the ingress.
    MISSING_HEADER = "missing_header", 400, "The raw record lacks a header."
    INVALID_HEADER = "invalid_header", 400, "A header of the raw record cannot be read."
    UNKNOWN_FORMAT = "unknown_format", 400, "The raw record's format is not known."
    # The normalized record: the sink could not make a row of it.
    UNKNOWN_SCHEMA = "unknown_schema", 400, "The normalized record names a schema that was never registered."
    NOT_INSERTABLE = "not_insertable", 400, "ClickHouse does not take the normalized record as a row."
    # The request.
    BAD_REQUEST = "bad_request", 400, "The request is not well-formed HTTP, or contradicts itself."
    MISSING_TOKEN = "missing_token", 401, "The request holds no token, or more than one."
    UNKNOWN_TOKEN = "unknown_token", 401, "The token is not known, was revoked, or has expired."
    TEAM_DISABLED = "team_disabled", 403, "The Events API is not enabled for the token's team."
    TOKEN_SCOPE = "token_scope", 403, "The token may send events, and nothing else."
    EVENT_OUT_OF_SCOPE = "event_out_of_scope", 403, "The token may send events, but none of this name."
    ORIGIN_NOT_ALLOWED = "origin_not_allowed", 403, "The team does not allow web pages of this origin to send events."
    NOT_FOUND = "not_found", 404, "There is nothing at this path."
    EVENT_NOT_FOUND = "event_not_found", 404, "No event of this id was acknowledged to the token's team."
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "The path exists, but not for this method."
    TOO_MANY_EVENTS = "too_many_events", 413, "The batch holds more events than allowed."
    SLOW_BODY = "slow_body", 408, "The body did not arrive in time."
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", 415, "The body's Content-Type is not one that this path takes."
    UNSUPPORTED_ENCODING = (
        "unsupported_encoding",
        415,
        "The body's Content-Encoding is not identity, gzip, deflate or zstd.",
    )
    RATE_LIMITED = "rate_limited", 429, "More than is allowed: nothing was taken, come back after Retry-After."
    UNAVAILABLE = "unavailable", 503, "Not acknowledged, outcome unknown: send the event again with the same id."


class PipelineError(Exception):
    """The root of every error that a caller may act on."""


class InvalidEvent(PipelineError):
    """This event can never be accepted as it is.

    Attributes:
        code: why, from the closed list.
        field: the path of the member or the name of the header at fault, where there is one: `properties.price`.
    """

    def __init__(self, code: ErrorCode, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class Unavailable(PipelineError):
    """A service that this step needs does not answer; the outcome of the step is unknown."""

    code = ErrorCode.UNAVAILABLE
