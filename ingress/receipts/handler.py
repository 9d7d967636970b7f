"""The routes of receipts: who asks, for which event, and not too often."""

import math
import time
from uuid import UUID

from aiohttp import web

from ingress import answers
from ingress.allowance import Allowance
from ingress.answer import Answer
from ingress.auth import TokenSnapshot
from ingress.envelope import Sender
from ingress.limits import RateLimited
from ingress.receipts.evidence import Wanted
from ingress.receipts.look_up import Sources, look_up
from ingress.requests import no_token, token_of
from schemas.errors import ErrorCode, InvalidEvent
from schemas.events import MAX_SENDER_ID_CHARACTERS, derive_event_id, is_event_id

BURST_SECONDS = 10
# Of all tokens together; one is looked up at a time, the others wait.
MAX_WAITING = 8
SENDER_ID = "sender_id"


class Receipts:
    """Answers where an event is, to the team that it belongs to.

    Args:
        tokens: who may ask.
        sources: where an event can be.
        per_second: how often each token may ask.
    """

    def __init__(self, tokens: TokenSnapshot, sources: Sources, per_second: float) -> None:
        self._tokens = tokens
        self._sources = sources
        self._allowance = Allowance(per_second, per_second * BURST_SECONDS)
        self._waiting = 0

    async def get_by_id(self, request: web.BaseRequest, name: str) -> Answer:
        """`GET /v1/events/{id}`.

        Raises:
            InvalidEvent: where the request is wrong, or the event is nowhere.
            RateLimited: where this token, or all of them, ask too often.
            Unavailable: where Kafka or ClickHouse does not answer.
        """
        sender = self._reader(request)
        given = request.path.rpartition("/")[2]
        if not is_event_id(given):
            message = (
                "An event id is a UUID, as the answer to its POST has it; for your own ids: /v1/events?sender_id=…"
            )
            raise InvalidEvent(ErrorCode.INVALID_VALUE, message, "id")
        return await self._answer(sender, UUID(given), name)

    async def get_by_sender_id(self, request: web.BaseRequest, name: str) -> Answer:
        """`GET /v1/events?sender_id=…`: by the `id`, or `messageId`, that the sender gave the event.

        Raises:
            InvalidEvent: where the request is wrong, or the event is nowhere.
            RateLimited: where this token, or all of them, ask too often.
            Unavailable: where Kafka or ClickHouse does not answer.
        """
        sender = self._reader(request)
        given = request.rel_url.query.getall(SENDER_ID, [])
        if len(given) != 1 or not 1 <= len(given[0]) <= MAX_SENDER_ID_CHARACTERS:
            message = f"Ask with one ?{SENDER_ID}=, the event's own id of 1 to {MAX_SENDER_ID_CHARACTERS} characters."
            raise InvalidEvent(ErrorCode.INVALID_VALUE, message, SENDER_ID)
        return await self._answer(sender, derive_event_id(sender.team, given[0]), name)

    def _reader(self, request: web.BaseRequest) -> Sender:
        """Who asks; the one place that decides who may."""
        token = token_of(request)
        if token is None:
            raise no_token(in_body=False)
        sender = self._tokens.find(token, time.time())
        if sender.write_only:
            message = "This token may only send events; ask with another one of the team."
            raise InvalidEvent(ErrorCode.TOKEN_SCOPE, message)
        return sender

    async def _answer(self, sender: Sender, event_id: UUID, name: str) -> Answer:
        if seconds := self._allowance.take(sender.token_id, time.monotonic()):
            raise RateLimited("This token asks for receipts too often: ask again later.", 0, math.ceil(seconds))
        if self._waiting >= MAX_WAITING:
            raise RateLimited("Too many ask for receipts at the moment: ask again later.", 0, 1)
        self._waiting += 1
        try:
            receipt = await look_up(Wanted(sender.team, event_id), self._sources)
        finally:
            self._waiting -= 1
        if receipt is None:
            message = (
                f"No event {event_id} of the team {sender.team} was acknowledged, or it is older than what is kept. "
                "An event whose POST was not answered with 200 may be sent again, with the same id."
            )
            raise InvalidEvent(ErrorCode.EVENT_NOT_FOUND, message)
        return answers.receipt(receipt, name)
