"""What a page says where something went wrong, by its HTTP status."""

from http import HTTPStatus

ERRORS: dict[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("That did not work", "The form cannot be read.  Open the page anew and try again."),
    HTTPStatus.FORBIDDEN: (
        "You may not do this",
        "Only Owners of the team may.  Ask one of them: they are listed on the team's settings page.",
    ),
    HTTPStatus.NOT_FOUND: (
        "There is nothing here",
        "The address may be mistyped, or it belongs to a team that you are not in.  Its Owner can invite you.",
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: ("That did not work", "This address does not take such a request."),
    HTTPStatus.REQUEST_TIMEOUT: ("That took too long", "The form did not arrive in time.  Send it again."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("That is too much", "The form is too large.  Shorten it and send it again."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("That did not work", "Only forms are taken here."),
    HTTPStatus.MISDIRECTED_REQUEST: ("This is not the console's address", ""),
    HTTPStatus.TOO_MANY_REQUESTS: ("Too many tries", "Wait a moment before the next one."),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "That is our fault",
        "Something failed that should not.  The console's own log says what; the access log, whether it was done.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "Just a moment",
        "The accounts database does not answer.  Events are taken all the same.  Try again in some seconds.",
    ),
}
ONLY_OPERATORS = "Only operators of this installation may.  They enable teams, and help users who cannot sign in."
RETRY_SECONDS = 5
# Of a form whose one-time word is not good.
STALE = "This page was too old: nothing was done.  Press the button again."


class PageError(Exception):
    """Ends a request with a page of this status and message.

    Attributes:
        status: one that ERRORS has.
        retry_after_seconds: when to come back; None where that would not help.
    """

    def __init__(self, status: int, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


def refusal(status: int) -> PageError:
    """The usual words for a status."""
    known = HTTPStatus(status) if status in ERRORS else HTTPStatus.BAD_REQUEST
    _, message = ERRORS[known]
    return PageError(known, message, RETRY_SECONDS if known is HTTPStatus.SERVICE_UNAVAILABLE else None)


def form_status(error: str) -> HTTPStatus:
    """The status of a page with a form, where something may be wrong with what was sent."""
    return HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK


def sentence(error: Exception) -> str:
    """The words of an error, as they stand on a page."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
