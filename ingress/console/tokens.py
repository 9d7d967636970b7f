"""Making, rotating and revoking a team's tokens.

Invariant: a secret stands in the answer to the POST that made it and nowhere else; the same form sent again, as by a
reload, makes nothing.
"""

from datetime import timedelta

from aiohttp import web

from ingress.accounts.errors import AlreadyExists, NotFound
from ingress.accounts.models import Token
from ingress.console.errors import STALE, form_status, sentence
from ingress.console.forms import read_form
from ingress.console.nonces import Use
from ingress.console.notices import Notice, tell
from ingress.console.services import Services
from ingress.console.snippets import FIRST_EVENT, curl_line
from ingress.console.team_settings import settings_path
from ingress.console.token_form import EXPIRIES, OVERLAPS, TokenForm, parse_token_form
from ingress.console.visits import actor_of, now, see, team_of


class Tokens:
    """The changes that Owners make to their team's tokens."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def create_form(self, request: web.Request) -> web.Response:
        """What the token is for, and what it may do."""
        return self._create_page(request, TokenForm())

    async def create(self, request: web.Request) -> web.Response:
        """Make it, and show it this once."""
        form = await read_form(request)
        wanted = TokenForm.of(form)
        try:
            asked = parse_token_form(wanted, now())
        except ValueError as error:
            return self._create_page(request, wanted, str(error))
        if (use := self._services.use(request, form)) is Use.AGAIN:
            return tell(see(settings_path(request)), Notice.SENT_BEFORE)
        if use is Use.STALE:
            return self._create_page(request, wanted, STALE)
        try:
            secret, token = await self._services.accounts.create_token(
                team_of(request),
                asked.name,
                now(),
                actor_of(request),
                expires_at=asked.expires_at,
                write_only=asked.write_only,
                events_per_second=asked.events_per_second,
                event_names=asked.event_names,
                schemas=asked.schemas,
            )
        except ValueError as error:
            return self._create_page(request, wanted, sentence(error))
        return await self._made_page(request, secret, token)

    async def rotate_form(self, request: web.Request) -> web.Response:
        """What rotating means, and for how long both shall work."""
        return await self._token_page(request, "token_rotate.html")

    async def rotate(self, request: web.Request) -> web.Response:
        """Make the successor, and show it this once."""
        form, token_id = await read_form(request), request.match_info["token"]
        if form.text("overlap") not in OVERLAPS:
            return await self._token_page(request, "token_rotate.html", "Choose for how long the old token works.")
        if (use := self._services.use(request, form)) is Use.AGAIN:
            return tell(see(settings_path(request)), Notice.SENT_BEFORE)
        if use is Use.STALE:
            return await self._token_page(request, "token_rotate.html", STALE)
        overlap, _ = OVERLAPS[form.text("overlap")]
        try:
            secret, token = await self._services.accounts.rotate_token(
                token_id, now(), actor_of(request), overlap=overlap, team=team_of(request)
            )
        except (ValueError, AlreadyExists) as error:
            return await self._token_page(request, "token_rotate.html", sentence(error))
        return await self._made_page(request, secret, token, overlap)

    async def revoke_form(self, request: web.Request) -> web.Response:
        """What revoking means."""
        return await self._token_page(request, "token_revoke.html")

    async def revoke(self, request: web.Request) -> web.Response:
        """Make it worthless."""
        await self._services.accounts.revoke_token(
            request.match_info["token"], now(), actor_of(request), team=team_of(request)
        )
        return tell(see(settings_path(request)), Notice.TOKEN_REVOKED)

    def _create_page(self, request: web.Request, form: TokenForm, error: str = "") -> web.Response:
        return self._services.pages.answer(
            request,
            "token_create.html",
            status=form_status(error),
            form=form,
            expiries=EXPIRIES,
            nonce=self._services.nonce(request),
            error=error,
        )

    async def _made_page(
        self, request: web.Request, secret: str, token: Token, overlap: timedelta | None = None
    ) -> web.Response:
        team, accounts = team_of(request), self._services.accounts
        names = (await accounts.event_names(team)).get(token.id, frozenset())
        event = min(names, default=FIRST_EVENT)
        return self._services.pages.answer(
            request,
            "token_made.html",
            secret=secret,
            token=token,
            enabled=(await accounts.team(team)).enabled,
            overlap=overlap,
            curl=curl_line(self._services.settings.console_api_url, secret, event),
        )

    async def _token_page(self, request: web.Request, template: str, error: str = "") -> web.Response:
        return self._services.pages.answer(
            request,
            template,
            status=form_status(error),
            token=await self._token(request),
            overlaps=OVERLAPS,
            nonce=self._services.nonce(request),
            error=error,
        )

    async def _token(self, request: web.Request) -> Token:
        for token in await self._services.accounts.tokens(team_of(request)):
            if token.id == request.match_info["token"]:
                return token
        raise NotFound("The team has no such token.")
