"""What stands between a request and its handler.

From the outside in: the answer to errors, whose host and whose will it is, who is signed in, and whether the row of the
table lets them in.
"""

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ingress.accounts.errors import NotFound
from ingress.accounts.permissions import Permission
from ingress.accounts.sessions import Sessions
from ingress.console.access import Route, Verdict, decide
from ingress.console.errors import ERRORS, ONLY_OPERATORS, PageError, refusal
from ingress.console.pages import Pages
from ingress.console.security import SAFE_METHODS, allowed_hosts, is_own_will, security_headers
from ingress.console.settings import ConsoleSettings
from ingress.console.visits import ADDRESS, COOKIE, SIGNED_IN, now, see, then_back, visitor
from ingress.measured import measured
from schemas.errors import Unavailable
from schemas.logs import get_logger

_log = get_logger(__name__)


class Guard:
    """The middlewares of the console."""

    def __init__(self, settings: ConsoleSettings, sessions: Sessions, pages: Pages) -> None:
        self._headers = security_headers(settings.console_url)
        self._hosts = allowed_hosts(settings.console_url)
        self._url = settings.console_url
        self._behind_proxy = settings.console_behind_proxy
        self._sessions = sessions
        self._pages = pages

    def middlewares(self) -> list[Middleware]:
        """From the outside in."""
        return [self.answer_errors, self.check_origin, self.find_session]

    async def add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        """On every answer, streams and errors too (`on_response_prepare`)."""
        response.headers.update(self._headers)

    @web.middleware
    async def answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """An error becomes a page that says what to do."""
        return await measured(request, self._answer(request, handler))

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                return error
            problem = refusal(error.status)
        except PageError as error:
            problem = error
        except NotFound as error:
            problem = PageError(HTTPStatus.NOT_FOUND, str(error))
        except Unavailable as error:
            _log.warning("accounts_unavailable", reason=str(error))
            problem = refusal(HTTPStatus.SERVICE_UNAVAILABLE)
        except ConnectionError:
            raise  # The client is gone.
        except Exception:  # noqa: BLE001 - the last resort: one page fails, the others go on
            _log.exception("page_failed", method=request.method)
            problem = refusal(HTTPStatus.INTERNAL_SERVER_ERROR)
        return self._page(request, problem)

    def _page(self, request: web.Request, error: PageError) -> web.Response:
        headers = {"Retry-After": str(error.retry_after_seconds)} if error.retry_after_seconds else None
        title, _ = ERRORS[HTTPStatus(error.status)]
        return self._pages.answer(
            request, "error.html", status=error.status, headers=headers, title=title, message=str(error)
        )

    @web.middleware
    async def check_origin(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Only what was sent to us, and, where it changes something, from a page of ours."""
        request[ADDRESS] = self._address(request)
        if request.headers.get("Host", "").lower() not in self._hosts:
            message = f"This console is at {self._url}.  Open it there, or set CONSOLE_URL to the address you use."
            raise PageError(HTTPStatus.MISDIRECTED_REQUEST, message)
        if not is_own_will(request.method, request.headers):
            raise PageError(
                HTTPStatus.FORBIDDEN,
                "This was not sent from a page of the console.  Open the page and try again there.",
            )
        return await handler(request)

    @web.middleware
    async def find_session(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Look up who is signed in; static files are for everybody."""
        secret = request.cookies.get(COOKIE)
        if secret and not request.path.startswith("/static/"):
            signed_in = await self._sessions.find(secret, now())
            if signed_in is not None:
                request[SIGNED_IN] = signed_in
        return await handler(request)

    def _address(self, request: web.Request) -> str:
        if self._behind_proxy and (forwarded := request.headers.getall("X-Forwarded-For", [])):
            return forwarded[-1].rpartition(",")[2].strip()
        return request.remote or ""


def guarded(route: Route) -> Handler:
    """The row's handler, for whom the row lets in."""
    is_operators = route.access is Permission.OPERATE

    async def handle(request: web.Request) -> web.StreamResponse:
        verdict = decide(route, visitor(request), request.match_info.get("team"), now())
        if verdict is Verdict.SIGN_IN:
            return see(then_back("/sign-in", _page_of(request)))
        if verdict is Verdict.CONFIRM:
            return see(then_back("/confirm", request.path))
        if verdict is Verdict.NOT_FOUND:
            raise web.HTTPNotFound
        if verdict is Verdict.FORBIDDEN:
            raise PageError(HTTPStatus.FORBIDDEN, ONLY_OPERATORS) if is_operators else refusal(HTTPStatus.FORBIDDEN)
        return await route.handler(request)

    return handle


def _page_of(request: web.Request) -> str:
    """Where to return to: what was to be sent is lost, so it is not a POST's path."""
    return request.path_qs if request.method in SAFE_METHODS else "/"
