"""The access log, page by page: a team's, and for operators that of all."""

from aiohttp import web

from ingress.console.services import Services
from ingress.console.visits import team_of

PAGE_ENTRIES = 50
_MAX_ID_DIGITS = 18


class AccessLogPages:
    """Newest first."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def of_team(self, request: web.Request) -> web.Response:
        """What happened in one team."""
        return await self._page(request, team_of(request))

    async def of_all(self, request: web.Request) -> web.Response:
        """What happened at all: teams, users, sign-ins."""
        return await self._page(request, None)

    async def _page(self, request: web.Request, team: str | None) -> web.Response:
        asked = request.query.get("before", "")
        before = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= _MAX_ID_DIGITS else None
        entries = await self._services.log.entries(team, before=before, limit=PAGE_ENTRIES + 1)
        shown = entries[:PAGE_ENTRIES]
        older = shown[-1].id if len(entries) > PAGE_ENTRIES else None
        return self._services.pages.answer(request, "access_log.html", entries=shown, older=older, is_first=not before)
