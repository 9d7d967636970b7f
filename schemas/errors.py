"""The errors that all parts share, and what each one asks of its caller.

    PipelineError
    ├── InvalidEvent      the event can never be accepted: 4xx at the edge, a dead letter behind it; never retried
    └── Unavailable       a service is away: retried with back-off behind the edge, 503 at it

Anything else is a bug and ends the process, so that nothing is acknowledged past it.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The closed list of refusals: one word in the HTTP body, the dead letter's reason, the metric and the docs."""

    INVALID_JSON = "invalid_json"
    MISSING_MEMBER = "missing_member"
    WRONG_TYPE = "wrong_type"
    INVALID_VALUE = "invalid_value"
    INVALID_TIMESTAMP = "invalid_timestamp"
    TOO_DEEP = "too_deep"
    MISSING_HEADER = "missing_header"
    INVALID_HEADER = "invalid_header"
    UNKNOWN_FORMAT = "unknown_format"
    BAD_REQUEST = "bad_request"
    MISSING_TOKEN = "missing_token"  # noqa: S105 - a code, not a secret
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a code, not a secret
    TEAM_DISABLED = "team_disabled"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    SLOW_BODY = "slow_body"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    UNAVAILABLE = "unavailable"


HTTP_STATUS: dict[ErrorCode, int] = {
    ErrorCode.MISSING_TOKEN: 401,
    ErrorCode.UNKNOWN_TOKEN: 401,
    ErrorCode.TEAM_DISABLED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.SLOW_BODY: 408,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.UNSUPPORTED_ENCODING: 415,
    ErrorCode.UNAVAILABLE: 503,
}
"""Codes that are not listed answer 400."""


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
