"""Signing in and out, and giving the password once more.

Whoever is unknown, disabled, or has typed another password gets the same answer after the same time.
"""

from http import HTTPStatus

from aiohttp import web

from ingress.accounts.access_log import Action
from ingress.accounts.actors import Actor
from ingress.accounts.errors import NotFound
from ingress.accounts.models import User
from ingress.console.errors import form_status
from ingress.console.forms import Form, read_form
from ingress.console.notices import Notice, tell
from ingress.console.services import Services
from ingress.console.visits import COOKIE, actor_of, address_of, local_path, now, see, user_of, visitor
from schemas.metrics import CONSOLE_SIGN_INS

WRONG = "The email address or the password is not right."


class SignIn:
    """`/`, `/sign-in`, `/sign-out` and `/confirm`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def start(self, request: web.Request) -> web.Response:
        """To where the visitor has most to do."""
        signed_in = visitor(request)
        if signed_in is None:
            return see("/sign-in")
        if signed_in.memberships:
            return see(f"/teams/{min(signed_in.memberships)}/settings")
        return see("/operator" if signed_in.operator else "/account")

    async def form(self, request: web.Request) -> web.Response:
        """The form; who is signed in already needs none."""
        if visitor(request) is not None:
            return see(local_path(request.query.get("next")))
        return self._sign_in_page(request, request.query.get("next"))

    async def sign_in(self, request: web.Request) -> web.Response:
        """Open a session of its own for each sign-in, so that nobody can have prepared it."""
        form = await read_form(request)
        email, password = form.text("email").lower()[:254], form.secret("password")
        if wait := self._services.throttle.take(address_of(request), email, now().timestamp()):
            await self._note(request, Action.SIGN_IN_LIMITED, email)
            return self._refuse(request, form, wait)
        user = await self._user(email)
        if not await self._services.passwords.check(user.password_hash if user else None, password) or user is None:
            await self._note(request, Action.SIGN_IN_FAILED, email)
            return self._refuse(request, form)
        self._services.throttle.give_back(address_of(request), email)
        try:
            response = await open_session(self._services, request, user, local_path(form.text("next")))
        except NotFound:
            # Between the check and now, somebody disabled the user or set another password.
            return self._refuse(request, form)
        CONSOLE_SIGN_INS.labels(outcome="ok").inc()
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """Close the session; its cookie is worthless wherever it was copied to."""
        await self._services.sessions.close(user_of(request).session.digest, now(), actor_of(request))
        response = tell(see("/sign-in"), Notice.SIGNED_OUT)
        response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
        return response

    async def confirm_form(self, request: web.Request) -> web.Response:
        """Asked before what would be worth most to whoever finds a browser open."""
        return self._confirm_page(request, request.query.get("next"))

    async def confirm(self, request: web.Request) -> web.Response:
        """Return to where it was asked."""
        form = await read_form(request)
        signed_in, back = user_of(request), form.text("next")
        email = signed_in.user.email
        if wait := self._services.throttle.take(address_of(request), email, now().timestamp()):
            await self._services.log.add(Action.CONFIRM_FAILED, now(), actor_of(request), detail="too many tries")
            return self._confirm_page(request, back, error=_wait(wait), wait=wait)
        if not await self._services.passwords.check(signed_in.user.password_hash, form.secret("password")):
            await self._services.log.add(Action.CONFIRM_FAILED, now(), actor_of(request), subject=email)
            return self._confirm_page(request, back, error="The password is not right.")
        self._services.throttle.give_back(address_of(request), email)
        await self._services.sessions.confirm(signed_in.session.digest, now())
        return see(local_path(back))

    async def _user(self, email: str) -> User | None:
        try:
            user = await self._services.people.user_by_email(email)
        except NotFound:
            return None
        return user if user.disabled_at is None else None

    async def _note(self, request: web.Request, action: Action, email: str) -> None:
        CONSOLE_SIGN_INS.labels(outcome="limited" if action is Action.SIGN_IN_LIMITED else "failed").inc()
        actor = Actor("not signed in", address=address_of(request))
        await self._services.log.add(action, now(), actor, subject=email)

    def _refuse(self, request: web.Request, form: Form, wait: int = 0) -> web.Response:
        error = _wait(wait) if wait else WRONG
        return self._sign_in_page(request, form.text("next"), form.text("email"), error, wait)

    def _sign_in_page(
        self, request: web.Request, back: str | None, email: str = "", error: str = "", wait: int = 0
    ) -> web.Response:
        status, headers = _refused(error, wait)
        return self._services.pages.answer(
            request, "sign_in.html", status=status, headers=headers, back=local_path(back), email=email, error=error
        )

    def _confirm_page(self, request: web.Request, back: str | None, error: str = "", wait: int = 0) -> web.Response:
        status, headers = _refused(error, wait)
        return self._services.pages.answer(
            request, "confirm.html", status=status, headers=headers, back=local_path(back), error=error
        )


async def open_session(services: Services, request: web.Request, user: User, back: str) -> web.Response:
    """Sign the user in, end whatever session this browser had, and go on."""
    address = address_of(request)
    if (old := visitor(request)) is not None:
        await services.sessions.close(old.session.digest, now(), actor_of(request))
    secret = await services.sessions.open(user, now(), request.headers.get("User-Agent", ""), address)
    response = see(back)
    response.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="Lax")
    return response


def _wait(seconds: int) -> str:
    return f"These were too many tries from your address.  Wait {seconds} s before the next one."


def _refused(error: str, wait: int) -> tuple[int, dict[str, str]]:
    if wait:
        return HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(wait)}
    return form_status(error), {}
