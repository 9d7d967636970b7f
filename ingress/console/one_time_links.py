"""`/setup/…`, `/invite/…` and `/reset/…`: the ways in for who has no password yet, or no longer.

A GET changes nothing: programs that look at links in messages use none up.
"""

from aiohttp import web

from ingress.accounts.errors import AlreadyExists, NotFound
from ingress.accounts.models import Invite, LinkKind
from ingress.accounts.passwords import check_strength
from ingress.console.errors import form_status, sentence
from ingress.console.forms import read_form
from ingress.console.notices import Notice, tell
from ingress.console.services import Services
from ingress.console.sign_in import open_session
from ingress.console.visits import address_of, now, see, visitor


class OneTimeLinks:
    """One page for all three kinds."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def form(self, request: web.Request) -> web.Response:
        """What the link is for, and what is needed to use it."""
        return self._page(request, await self._link(request))

    async def use(self, request: web.Request) -> web.Response:
        """Use it up."""
        link, form = await self._link(request), await read_form(request)
        if link.kind is LinkKind.INVITE and visitor(request) is not None:
            return await self._join(request, link)
        email, password = link.email or form.text("email"), form.secret("password")
        try:
            check_strength(password, email)
            hashed = await self._services.passwords.hash(password)
            user = await self._services.people.accept(_secret(request), email, hashed, now(), address_of(request))
        except AlreadyExists:
            return self._page(request, link, email, "There is a user of this address.  Sign in first, below.")
        except ValueError as error:
            return self._page(request, link, email, sentence(error))
        if link.kind is LinkKind.RESET:
            return tell(see("/sign-in"), Notice.PASSWORD_RESET)
        return await open_session(self._services, request, user, "/")

    async def _join(self, request: web.Request, link: Invite) -> web.Response:
        signed_in = visitor(request)
        if signed_in is None:
            raise NotFound("There is no such user.")
        try:
            membership = await self._services.people.join(
                _secret(request), signed_in.user.id, now(), address_of(request)
            )
        except (AlreadyExists, ValueError) as error:
            return self._page(request, link, error=sentence(error))
        return tell(see(f"/teams/{membership.team}/settings"), Notice.JOINED)

    async def _link(self, request: web.Request) -> Invite:
        link = await self._services.people.find_invite(_secret(request), now())
        if not request.path.startswith(f"/{link.kind}/"):
            raise web.HTTPNotFound
        return link

    def _page(self, request: web.Request, link: Invite, email: str = "", error: str = "") -> web.Response:
        return self._services.pages.answer(
            request, "one_time_link.html", status=form_status(error), link=link, email=email, error=error
        )


def _secret(request: web.Request) -> str:
    return request.match_info["secret"]
