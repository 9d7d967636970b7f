"""The Live page itself, and the receipt of an event that was searched for."""

import time
from http import HTTPStatus
from uuid import UUID

from aiohttp import web

from ingress.allowance import Allowance
from ingress.console.errors import PageError
from ingress.console.pages import Pages
from ingress.console.snippets import curl_line
from ingress.console.visits import see, team_of, user_of
from ingress.receipts.evidence import Wanted
from ingress.receipts.look_up import Sources, look_up
from ingress.receipts.receipt import Receipt
from schemas.errors import Unavailable
from schemas.events import MAX_SENDER_ID_CHARACTERS, derive_event_id, is_event_id

PER_SECOND = 1.0
BURST = 20.0
MAX_WAITING = 8


class LivePages:
    """The handlers.

    Args:
        pages: the templates.
        sources: where an event can be.
        per_second: how many events a second are shown.
        api_url: where events are posted, for the example.
    """

    def __init__(self, pages: Pages, sources: Sources, per_second: int, api_url: str) -> None:
        self._pages = pages
        self._sources = sources
        self._per_second = per_second
        self._api_url = api_url
        self._allowance = Allowance(PER_SECOND, BURST)
        self._waiting = 0

    async def get(self, request: web.Request) -> web.Response:
        """`GET /teams/{team}/live`."""
        example = curl_line(self._api_url, "YOUR_TOKEN")
        return self._pages.answer(request, "live.html", example=example, per_second=self._per_second)

    async def get_event(self, request: web.Request) -> web.Response:
        """`GET /teams/{team}/live/event?id=…`: by the event id, or by the id that its sender gave it."""
        team, given = team_of(request), request.query.get("id", "").strip()
        if not given:
            return see(f"/teams/{team}/live")
        if len(given) > MAX_SENDER_ID_CHARACTERS:
            message = (
                f"Search for an event id, or for the sender's own id of 1 to {MAX_SENDER_ID_CHARACTERS} characters."
            )
            return self._answer(request, given, None, message, HTTPStatus.BAD_REQUEST)
        try:
            receipt = await self._find(user_of(request).user.id, team, given)
        except Unavailable as error:
            return self._answer(request, given, None, str(error), HTTPStatus.SERVICE_UNAVAILABLE)
        return self._answer(request, given, receipt, None, HTTPStatus.OK if receipt else HTTPStatus.NOT_FOUND)

    async def _find(self, user_id: str, team: str, given: str) -> Receipt | None:
        """The receipt; a sender's own id may look like an event id, too."""
        if self._waiting >= MAX_WAITING or self._allowance.take(user_id, time.monotonic()):
            raise PageError(HTTPStatus.TOO_MANY_REQUESTS, "Search again in a moment.", 1)
        self._waiting += 1
        try:
            found = await look_up(Wanted(team, UUID(given)), self._sources) if is_event_id(given) else None
            return found or await look_up(Wanted(team, derive_event_id(team, given)), self._sources)
        finally:
            self._waiting -= 1

    def _answer(
        self, request: web.Request, given: str, receipt: Receipt | None, problem: str | None, status: HTTPStatus
    ) -> web.Response:
        return self._pages.answer(
            request, "receipt.html", status=status, given=given, receipt=receipt, problem_text=problem
        )
