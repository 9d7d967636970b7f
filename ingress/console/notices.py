"""What a page says once about what was just done: a word of a closed list in a cookie, never a text."""

from enum import StrEnum
from typing import Self

from aiohttp import web

COOKIE = "__Host-notice"
_SECONDS = 60


class Notice(StrEnum):
    """Each word with its text.

    Attributes:
        text: as the page says it.
    """

    text: str

    def __new__(cls, value: str, text: str) -> Self:
        """Give the word its text."""
        word = str.__new__(cls, value)
        word._value_ = value
        word.text = text
        return word

    SIGNED_OUT = "signed_out", "You are signed out."
    PASSWORD_CHANGED = "password_changed", "The password is changed, and all your other sessions are signed out."
    PASSWORD_RESET = "password_reset", "The password is changed, and all sessions are signed out.  Sign in with it now."
    SESSIONS_CLOSED = "sessions_closed", "Signed out there."
    JOINED = "joined", "You are in the team now."
    REQUESTED = "requested", "Access is requested.  Whoever operates this installation sees it and enables the team."
    TOKEN_REVOKED = "token_revoked", "The token is revoked.  Within two seconds every ingress refuses it."
    ORIGINS_CHANGED = "origins_changed", "The web origins are changed.  It takes effect within two seconds."
    SCHEMA_REGISTERED = (
        "schema_registered",
        "The schema is registered.  From now on each event of that name is a row of its table as well.",
    )
    SCHEMA_KNOWN = "schema_known", "That schema was registered before, and stays as it is."
    SCHEMA_DELETED = "schema_deleted", "The version is deleted: no event is written by it any more."
    SCHEMA_WAITS = (
        "schema_waits",
        "The change is kept, but Kafka does not answer: it takes effect as soon as Kafka does.",
    )
    ROLE_CHANGED = "role_changed", "The role is changed."
    MEMBER_REMOVED = "member_removed", "The member is removed, and sees nothing of the team any more."
    INVITE_WITHDRAWN = "invite_withdrawn", "The invitation is withdrawn: its link is worthless."
    TEAM_CREATED = "team_created", "The team is made.  Next, invite its Owner."
    TEAM_ENABLED = "team_enabled", "The Events API is enabled for the team.  Its tokens work within two seconds."
    TEAM_DISABLED = (
        "team_disabled",
        "The Events API is disabled for the team.  Within two seconds its events are refused.",
    )
    USER_CHANGED = "user_changed", "The user is changed."
    SENT_BEFORE = "sent_before", "That form was sent before: nothing was done a second time."


def tell(response: web.Response, notice: Notice) -> web.Response:
    """Let the next page say it; returns the same response."""
    response.set_cookie(COOKIE, notice, max_age=_SECONDS, path="/", secure=True, httponly=True, samesite="Lax")
    return response


def told(request: web.Request) -> Notice | None:
    """What this page has to say."""
    word = request.cookies.get(COOKIE)
    return next((notice for notice in Notice if notice == word), None)


def forget(response: web.StreamResponse) -> None:
    """It was said."""
    response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
