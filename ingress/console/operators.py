"""`/operator`: what whoever runs the installation does: make and enable teams, invite Owners, help users."""

from aiohttp import web

from ingress.accounts.errors import AlreadyExists
from ingress.accounts.links import link_url
from ingress.accounts.models import LinkKind, Role, User
from ingress.console.errors import STALE, form_status, sentence
from ingress.console.forms import read_form
from ingress.console.nonces import Use
from ingress.console.notices import Notice, tell
from ingress.console.services import Services
from ingress.console.visits import actor_of, now, see, user_of

HOME = "/operator"


class Operators:
    """Teams and users from outside; what is in a team is its members' business."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def page(self, request: web.Request) -> web.Response:
        """All teams and users."""
        return await self._page(request)

    async def create_team(self, request: web.Request) -> web.Response:
        """Make a team."""
        form = await read_form(request)
        slug, enabled = form.text("slug"), form.text("enabled") == "yes"
        try:
            await self._services.accounts.create_team(slug, now(), actor_of(request), enabled=enabled)
        except (ValueError, AlreadyExists) as error:
            return await self._page(request, slug, sentence(error))
        return tell(see(HOME), Notice.TEAM_CREATED)

    async def enable_team(self, request: web.Request) -> web.Response:
        """Take the team's events."""
        slug = request.match_info["slug"]
        await self._services.accounts.enable_team(slug, now(), actor_of(request), enabled=True)
        return tell(see(HOME), Notice.TEAM_ENABLED)

    async def disable_form(self, request: web.Request) -> web.Response:
        """What disabling means."""
        team = await self._services.accounts.team(request.match_info["slug"])
        return self._services.pages.answer(request, "team_disable.html", current=team)

    async def disable_team(self, request: web.Request) -> web.Response:
        """Refuse the team's events."""
        slug = request.match_info["slug"]
        await self._services.accounts.enable_team(slug, now(), actor_of(request), enabled=False)
        return tell(see(HOME), Notice.TEAM_DISABLED)

    async def invite_form(self, request: web.Request) -> web.Response:
        """Whom to invite as an Owner."""
        team = await self._services.accounts.team(request.match_info["slug"])
        return self._invite_page(request, team.slug)

    async def invite_owner(self, request: web.Request) -> web.Response:
        """Make a link for an Owner, which is shown in the answer to this POST and nowhere else."""
        form, slug = await read_form(request), request.match_info["slug"]
        if (use := self._services.use(request, form)) is Use.AGAIN:
            return tell(see(HOME), Notice.SENT_BEFORE)
        email = form.text("email")
        if use is Use.STALE:
            return self._invite_page(request, slug, email, STALE)
        try:
            secret = await self._services.people.invite(slug, Role.OWNER, email or None, now(), actor_of(request))
        except (ValueError, AlreadyExists) as error:
            return self._invite_page(request, slug, email, sentence(error))
        whom = email or "whoever is to own the team"
        return self._link_page(request, "Invitation made", self._link(LinkKind.INVITE, secret), whom, "for 7 days")

    async def user_form(self, request: web.Request) -> web.Response:
        """What can be done about a user."""
        return await self._user_page(request)

    async def disable_user(self, request: web.Request) -> web.Response:
        """End all sessions of a user, and let them open none."""
        if request.match_info["user"] == user_of(request).user.id:
            return await self._user_page(request, "You cannot disable yourself.  Another operator can.")
        return await self._change_user(request, disabled=True)

    async def enable_user(self, request: web.Request) -> web.Response:
        """Let a user sign in again."""
        return await self._change_user(request, disabled=False)

    async def reset_password(self, request: web.Request) -> web.Response:
        """Make a link with which a user chooses a new password."""
        form, user = await read_form(request), await self._user(request)
        if (use := self._services.use(request, form)) is Use.AGAIN:
            return tell(see(HOME), Notice.SENT_BEFORE)
        if use is Use.STALE:
            return await self._user_page(request, STALE)
        secret = await self._services.people.reset(user.email, now(), actor_of(request))
        return self._link_page(
            request, "Link for a new password", self._link(LinkKind.RESET, secret), user.email, "for one hour"
        )

    async def _change_user(self, request: web.Request, *, disabled: bool) -> web.Response:
        await self._services.people.change_user(request.match_info["user"], now(), actor_of(request), disabled=disabled)
        return tell(see(HOME), Notice.USER_CHANGED)

    async def _user(self, request: web.Request) -> User:
        return await self._services.people.user(request.match_info["user"])

    async def _page(self, request: web.Request, slug: str = "", error: str = "") -> web.Response:
        teams = await self._services.accounts.teams()
        waiting_first = sorted(teams, key=lambda team: team.requested_at is None)
        return self._services.pages.answer(
            request,
            "operator.html",
            status=form_status(error),
            all_teams=waiting_first,
            users=await self._services.people.users(),
            slug=slug,
            error=error,
        )

    async def _user_page(self, request: web.Request, error: str = "") -> web.Response:
        user = await self._user(request)
        return self._services.pages.answer(
            request,
            "user.html",
            status=form_status(error),
            user=user,
            memberships=await self._services.people.memberships(user.id),
            nonce=self._services.nonce(request),
            error=error,
        )

    def _invite_page(self, request: web.Request, slug: str, email: str = "", error: str = "") -> web.Response:
        return self._services.pages.answer(
            request,
            "invite.html",
            status=form_status(error),
            action=request.path,
            back=HOME,
            whither=slug,
            email=email,
            role=Role.OWNER,
            may_choose=False,
            nonce=self._services.nonce(request),
            error=error,
        )

    def _link(self, kind: LinkKind, secret: str) -> str:
        return link_url(self._services.settings.console_url, kind, secret)

    def _link_page(self, request: web.Request, title: str, link: str, whom: str, lifetime: str) -> web.Response:
        return self._services.pages.answer(
            request, "link_made.html", title=title, link=link, whom=whom, lifetime=lifetime, back=HOME
        )
