"""Who is in a team: invitations, roles, and leaving."""

from aiohttp import web

from ingress.accounts.errors import AlreadyExists, LastOwner, NotFound
from ingress.accounts.links import link_url
from ingress.accounts.models import LinkKind, Role
from ingress.accounts.people import Member
from ingress.console.errors import STALE, form_status, sentence
from ingress.console.forms import Form, read_form
from ingress.console.nonces import Use
from ingress.console.notices import Notice, tell
from ingress.console.services import Services
from ingress.console.team_settings import settings_path
from ingress.console.visits import actor_of, now, see, team_of


class Members:
    """The changes that Owners make to their team's members."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def invite_form(self, request: web.Request) -> web.Response:
        """Whom to invite, and as what."""
        return self._invite_page(request)

    async def invite(self, request: web.Request) -> web.Response:
        """Make a link, which is shown in the answer to this POST and nowhere else."""
        form = await read_form(request)
        if (use := self._services.use(request, form)) is Use.AGAIN:
            return tell(see(settings_path(request, "members")), Notice.SENT_BEFORE)
        if use is Use.STALE:
            return self._invite_page(request, form, STALE)
        team, email, role = team_of(request), form.text("email"), _role(form)
        try:
            secret = await self._services.people.invite(team, role, email or None, now(), actor_of(request))
        except (ValueError, AlreadyExists) as error:
            return self._invite_page(request, form, sentence(error))
        link = link_url(self._services.settings.console_url, LinkKind.INVITE, secret)
        return self._services.pages.answer(
            request,
            "link_made.html",
            title="Invitation made",
            link=link,
            whom=email or "whoever is to join",
            lifetime="for 7 days",
            back=settings_path(request, "members"),
        )

    async def withdraw(self, request: web.Request) -> web.Response:
        """End an invitation that nobody has used."""
        try:
            link = bytes.fromhex(request.match_info["invite"])
        except ValueError as error:
            raise web.HTTPNotFound from error
        await self._services.people.withdraw_invite(team_of(request), link, now(), actor_of(request))
        return tell(see(settings_path(request, "members")), Notice.INVITE_WITHDRAWN)

    async def role_form(self, request: web.Request) -> web.Response:
        """What another role would mean."""
        return await self._member_page(request, "member_role.html")

    async def change_role(self, request: web.Request) -> web.Response:
        """Make a member an Owner, or an Owner a Member."""
        form = await read_form(request)
        try:
            await self._services.people.change_role(
                team_of(request), request.match_info["user"], _role(form), now(), actor_of(request)
            )
        except LastOwner as error:
            return await self._member_page(request, "member_role.html", sentence(error))
        return tell(see(settings_path(request, "members")), Notice.ROLE_CHANGED)

    async def remove_form(self, request: web.Request) -> web.Response:
        """What removing means."""
        return await self._member_page(request, "member_remove.html")

    async def remove(self, request: web.Request) -> web.Response:
        """Take somebody out of the team."""
        try:
            await self._services.people.remove_member(
                team_of(request), request.match_info["user"], now(), actor_of(request)
            )
        except LastOwner as error:
            return await self._member_page(request, "member_remove.html", sentence(error))
        return tell(see(settings_path(request, "members")), Notice.MEMBER_REMOVED)

    def _invite_page(self, request: web.Request, form: Form | None = None, error: str = "") -> web.Response:
        return self._services.pages.answer(
            request,
            "invite.html",
            status=form_status(error),
            action=request.path,
            back=settings_path(request, "members"),
            whither=team_of(request),
            email=form.text("email") if form else "",
            role=_role(form) if form else Role.MEMBER,
            may_choose=True,
            nonce=self._services.nonce(request),
            error=error,
        )

    async def _member_page(self, request: web.Request, template: str, error: str = "") -> web.Response:
        back = settings_path(request, "members")
        member = await self._member(request)
        return self._services.pages.answer(
            request, template, status=form_status(error), member=member, error=error, back=back
        )

    async def _member(self, request: web.Request) -> Member:
        for member in await self._services.people.members(team_of(request)):
            if member.user.id == request.match_info["user"]:
                return member
        raise NotFound("They are not in the team.")


def _role(form: Form) -> Role:
    return Role.OWNER if form.text("role") == Role.OWNER else Role.MEMBER
