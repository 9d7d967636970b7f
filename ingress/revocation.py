"""`POST /v1/token/revoke`: whoever finds a token that leaked makes it worthless, with the token and nothing else."""

import math
import time
from datetime import UTC, datetime

from aiohttp import web

from ingress import answers
from ingress.accounts.actors import Actor
from ingress.accounts.errors import NotFound
from ingress.accounts.store import Accounts
from ingress.allowance import Allowance
from ingress.answer import Answer
from ingress.auth import TokenSnapshot
from ingress.limits import RateLimited
from ingress.requests import no_token, token_of
from schemas.errors import ErrorCode, InvalidEvent

# Of each token; one try is enough unless the database is away.  Not the limit of its events: whoever floods us with a
# leaked token must not keep its owner from revoking it.
PER_SECOND = 1.0
BURST = 5.0


class Revocation:
    """Makes the token of a request worthless, unless it is a public one; also where its team is not enabled.

    Tokens that nobody made are refused from memory, so that they cost the database nothing.
    """

    def __init__(self, tokens: TokenSnapshot, accounts: Accounts) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._allowance = Allowance(PER_SECOND, BURST)

    async def post(self, request: web.BaseRequest, name: str) -> Answer:
        """Revoke it; here it is worthless at once, and with every other ingress within two seconds.

        Raises:
            InvalidEvent: where there is no token in the head of the request, or it is public or worthless already.
            RateLimited: where this token is revoked too often.
            Unavailable: where the accounts database does not answer.
        """
        secret = token_of(request)
        if secret is None:
            raise no_token(in_body=False)
        holder = self._tokens.known(secret, time.time())
        if holder.write_only:
            # Everybody who opens the page could end what the page does.
            message = "A write-only token is public, and does not revoke itself: an Owner of its team does."
            raise InvalidEvent(ErrorCode.TOKEN_SCOPE, message)
        if seconds := self._allowance.take(holder.token_id, time.monotonic()):
            raise RateLimited("This token is revoked too often: try again later.", 0, math.ceil(seconds))
        actor = Actor(f"holder of {holder.token_id}", address=request.remote)
        try:
            await self._accounts.revoke_secret(secret, datetime.now(UTC), actor)
        except NotFound as error:
            raise InvalidEvent(ErrorCode.UNKNOWN_TOKEN, "The token is not known.") from error
        self._tokens.forget(secret)
        return answers.done(name)
