"""`/account`: a user's own password and sessions."""

from http import HTTPStatus

from aiohttp import web

from ingress.accounts.access_log import Action
from ingress.accounts.passwords import check_strength
from ingress.console.browsers import browser_name
from ingress.console.errors import form_status
from ingress.console.forms import read_form
from ingress.console.notices import Notice, tell
from ingress.console.services import Services
from ingress.console.visits import actor_of, address_of, now, see, user_of


class Account:
    """What each user may change of themselves."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def page(self, request: web.Request) -> web.Response:
        """Password and sessions."""
        return await self._page(request)

    async def change_password(self, request: web.Request) -> web.Response:
        """Needs the old one; all other sessions end."""
        form, signed_in, services = await read_form(request), user_of(request), self._services
        email, address = signed_in.user.email, address_of(request)
        if wait := services.throttle.take(address, email, now().timestamp()):
            return await self._page(request, f"These were too many tries.  Wait {wait} s before the next one.", wait)
        if not await services.passwords.check(signed_in.user.password_hash, form.secret("current")):
            await services.log.add(Action.CONFIRM_FAILED, now(), actor_of(request), subject=email)
            return await self._page(request, "The current password is not right.")
        services.throttle.give_back(address, email)
        try:
            check_strength(form.secret("password"), email)
        except ValueError as error:
            return await self._page(request, str(error))
        hashed = await services.passwords.hash(form.secret("password"))
        digest = signed_in.session.digest
        await services.people.set_password(signed_in.user.id, hashed, now(), actor_of(request), keep_session=digest)
        return tell(see("/account"), Notice.PASSWORD_CHANGED)

    async def close_session(self, request: web.Request) -> web.Response:
        """Sign out in another browser."""
        form, user = await read_form(request), user_of(request).user
        for session in await self._services.sessions.of_user(user.id, now()):
            if session.digest.hex() == form.text("session"):
                await self._services.sessions.close(session.digest, now(), actor_of(request))
        return tell(see("/account"), Notice.SESSIONS_CLOSED)

    async def close_others(self, request: web.Request) -> web.Response:
        """Sign out everywhere else."""
        signed_in = user_of(request)
        digest = signed_in.session.digest
        await self._services.sessions.close_others(signed_in.user.id, digest, now(), actor_of(request))
        return tell(see("/account"), Notice.SESSIONS_CLOSED)

    async def _page(self, request: web.Request, error: str = "", wait: int = 0) -> web.Response:
        signed_in = user_of(request)
        return self._services.pages.answer(
            request,
            "account.html",
            status=HTTPStatus.TOO_MANY_REQUESTS if wait else form_status(error),
            headers={"Retry-After": str(wait)} if wait else None,
            error=error,
            sessions=await self._services.sessions.of_user(signed_in.user.id, now()),
            browser_name=browser_name,
        )
