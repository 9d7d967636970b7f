"""What a handler asks of its request: who it is from, when, and for which team."""

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from aiohttp import web

from ingress.accounts.actors import Actor
from ingress.accounts.sessions import SignedIn

COOKIE = "__Host-session"
SIGNED_IN = web.RequestKey("signed_in", SignedIn)
ADDRESS = web.RequestKey("address", str)


def now() -> datetime:
    """The time, where the edge asks for it."""
    return datetime.now(UTC)


def visitor(request: web.Request) -> SignedIn | None:
    """Who is signed in, where somebody is."""
    return request.get(SIGNED_IN)


def user_of(request: web.Request) -> SignedIn:
    """Who is signed in, behind a row that lets nobody else in."""
    return request[SIGNED_IN]


def address_of(request: web.Request) -> str:
    """The client's address."""
    return request[ADDRESS]


def actor_of(request: web.Request) -> Actor:
    """The same for the access log."""
    user = user_of(request).user
    return Actor(user.email, user.id, address_of(request))


def team_of(request: web.Request) -> str:
    """The team in the path."""
    return request.match_info["team"]


def see(path: str) -> web.Response:
    """After a POST: the page to look at next, which a reload may ask for as often as it likes."""
    return web.Response(status=303, headers={"Location": path})


def then_back(path: str, to: str) -> str:
    """The path with the one to return to afterwards."""
    return f"{path}?next={quote(to, safe='/')}"


def local_path(text: str | None) -> str:
    """Where to return to: a path of ours, whatever the address says."""
    if not text or not text.startswith("/") or not text.isascii() or not text.isprintable():
        return "/"
    parts = urlsplit(text)
    # //host and /\host lead elsewhere.
    return "/" if parts.netloc or "\\" in text or text.startswith("//") else text
