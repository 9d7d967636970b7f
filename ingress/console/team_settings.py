"""`/teams/{team}/settings`: how a team stands, for all its members, and the changes that need no page of their own."""

from aiohttp import web

from ingress.console.errors import form_status, sentence
from ingress.console.forms import read_form
from ingress.console.notices import Notice, tell
from ingress.console.services import Services
from ingress.console.visits import actor_of, now, see, team_of


def settings_path(request: web.Request, section: str = "events-api") -> str:
    """The settings page of the team in the path."""
    return f"/teams/{team_of(request)}/settings#{section}"


class TeamSettings:
    """Members, the Events API with its tokens, and web origins."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def page(self, request: web.Request) -> web.Response:
        """Everything; the buttons only for Owners."""
        return await self._page(request)

    async def home(self, request: web.Request) -> web.Response:
        """A team's address without more."""
        return see(settings_path(request).partition("#")[0])

    async def request_events_api(self, request: web.Request) -> web.Response:
        """Ask the operators to enable the team."""
        await self._services.accounts.request_events_api(team_of(request), now(), actor_of(request))
        return tell(see(settings_path(request)), Notice.REQUESTED)

    async def change_origins(self, request: web.Request) -> web.Response:
        """Allow a web origin, or no longer allow one."""
        form = await read_form(request)
        allow, remove = ([text] if (text := form.text(name)) else [] for name in ("allow", "remove"))
        try:
            await self._services.accounts.change_origins(team_of(request), allow, remove, now(), actor_of(request))
        except ValueError as error:
            return await self._page(request, origin=form.text("allow"), origin_error=sentence(error))
        return tell(see(settings_path(request, "web-origins")), Notice.ORIGINS_CHANGED)

    async def _page(self, request: web.Request, origin: str = "", origin_error: str = "") -> web.Response:
        team, at = team_of(request), now()
        accounts, people = self._services.accounts, self._services.people
        tokens = await accounts.tokens(team)
        return self._services.pages.answer(
            request,
            "settings.html",
            status=form_status(origin_error),
            current=await accounts.team(team),
            members=await people.members(team),
            invites=await people.invites(team, at),
            tokens=[token for token in tokens if token.revoked_at is None],
            revoked=[token for token in tokens if token.revoked_at is not None],
            event_names=await accounts.event_names(team),
            origins=await accounts.origins(team),
            origin=origin,
            origin_error=origin_error,
            now=at,
        )
