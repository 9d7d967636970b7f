"""What a browser has to be told before it lets a page send events and read the answers (fetch.spec.whatwg.org, CORS).

Credentials are never allowed: a page sends with its token and nothing else, so cookies can play no part.
"""

from aiohttp import hdrs, web

from ingress import answers
from ingress.accounts.origins import ANY
from ingress.answer import Answer
from ingress.auth import TokenSnapshot
from ingress.limits import LIMIT, REMAINING, RESET
from ingress.route import Act
from schemas.errors import ErrorCode, InvalidEvent

# Chrome remembers no answer for longer.  A request of an origin that is no longer allowed is refused all the same.
MAX_AGE_SECONDS = 7200
# The last is what the Segment family's browser client adds to a retry.
_REQUEST_HEADERS = "X-Auth-Token, Authorization, Content-Type, Content-Encoding, traceparent, X-Retry-Count"
_PREFLIGHT: dict[str, str] = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "POST",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _REQUEST_HEADERS,
    hdrs.ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_SECONDS),
}
_EXPOSED = f"{answers.REQUEST_ID}, {hdrs.RETRY_AFTER}, {LIMIT}, {REMAINING}, {RESET}"


def preflight(tokens: TokenSnapshot) -> Act:
    """`OPTIONS`, which a browser sends first and without the token: all that can be said is whether any team allows it.

    Raises:
        InvalidEvent: where none does.
    """

    async def act(request: web.BaseRequest, name: str) -> Answer:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return answers.nothing({hdrs.ALLOW: "POST, OPTIONS"}, name)
        check(origin, tokens.origins, "TEAM")
        return answers.nothing(_PREFLIGHT, name)

    return act


def check(origin: str | None, allowed: frozenset[str], team: str) -> None:
    """A page sends to a team that allows its origin; what is no page has no origin, and passes.

    Raises:
        InvalidEvent: where the team does not.
    """
    if origin is not None and _shown(origin, allowed) is None:
        message = f"Pages of this origin may not send; `events team origins {team} --allow ORIGIN` allows it."
        raise InvalidEvent(ErrorCode.ORIGIN_NOT_ALLOWED, message, "Origin")


def tell(headers: dict[str, str], origin: str, allowed: frozenset[str]) -> None:
    """Let the page read the answer with these headers, where its origin is allowed."""
    shown = _shown(origin, allowed)
    if shown is not None:
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = shown
        headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
        headers[hdrs.VARY] = hdrs.ORIGIN


def _shown(origin: str, allowed: frozenset[str]) -> str | None:
    """What the answer says is allowed: never anything that came over the wire and was not listed."""
    if origin in allowed:
        return origin
    return ANY if ANY in allowed else None
