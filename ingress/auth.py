"""Tokens in memory: requests are checked against a snapshot, never against the accounts database.

Invariant: once loaded, the snapshot answers, however long the database is away; before that, nobody is refused.
"""

import asyncio
import math
import time

from ingress.accounts.store import Accounts
from ingress.accounts.team_tokens import LiveToken
from ingress.accounts.tokens import digest
from ingress.backoff import pause_seconds
from ingress.envelope import Sender, sender
from ingress.limits import Buckets
from ingress.token_use import TokenUse
from schemas.errors import ErrorCode, InvalidEvent, Unavailable
from schemas.logs import get_logger
from schemas.metrics import TOKENS_LOADED

REFRESH_SECONDS = 1.0
# A database that hangs must not hold the next try for longer than this.
LOAD_SECONDS = 10.0

_log = get_logger(__name__)


class TokenSnapshot:
    """Who may send, as of the last time that the accounts database answered.

    Attributes:
        origins: of all web pages that may send with any token.
        use: when each token was last taken.
    """

    def __init__(self, accounts: Accounts, buckets: Buckets) -> None:
        self.origins: frozenset[str] = frozenset()
        self.use = TokenUse(accounts)
        self._accounts = accounts
        self._buckets = buckets
        self._rows: dict[bytes, LiveToken] = {}
        self._senders: dict[bytes, Sender] = {}
        self._loaded_at: float | None = None

    @property
    def loaded(self) -> bool:
        """Whether the database has answered once."""
        return self._loaded_at is not None

    def age_seconds(self) -> float:
        """Since when the snapshot is what the database says; infinite before the first time."""
        return math.inf if self._loaded_at is None else time.monotonic() - self._loaded_at

    def find(self, token: str, now: float) -> Sender:
        """Who sends with this token; `now` is seconds since 1970.

        Raises:
            InvalidEvent: where the token is unknown, revoked or expired, or its team is disabled.
            Unavailable: where nothing was loaded yet, so that nobody can be known.
        """
        found = self.known(token, now)
        if not found.enabled:
            message = f"The Events API is not enabled for the team {found.team}."
            raise InvalidEvent(ErrorCode.TEAM_DISABLED, message)
        self.use.last[found.token_id] = now
        return found

    def known(self, token: str, now: float) -> Sender:
        """The same, whether or not its team is enabled; this is no use of it.

        Raises:
            InvalidEvent: where the token is unknown, revoked or expired.
            Unavailable: where nothing was loaded yet, so that nobody can be known.
        """
        found = self._senders.get(digest(token))
        if found is None or found.expires_at <= now:
            if not self.loaded:
                raise Unavailable("The tokens are not loaded yet: send the event again with the same id.")
            raise InvalidEvent(ErrorCode.UNKNOWN_TOKEN, "The token is not known, was revoked, or has expired.")
        return found

    def forget(self, token: str) -> None:
        """Refuse a token from now on, which the database has as revoked."""
        self._senders.pop(digest(token), None)

    async def refresh(self) -> None:
        """Load all live tokens.

        Raises:
            Unavailable: where the database does not answer; the snapshot stays as it was.
        """
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                live = await self._accounts.live_tokens()
        except TimeoutError as error:
            raise Unavailable(f"The accounts database does not answer within {LOAD_SECONDS:g} s") from error
        rows = {token.digest: token for token in live}
        if rows != self._rows:
            self._senders = {key: self._sender(token) for key, token in rows.items()}
            self.origins = frozenset().union(*(token.origins for token in live))
            self._rows = rows
        self._loaded_at = asked_at
        TOKENS_LOADED.set(len(rows))

    async def keep_fresh(self) -> None:
        """Refresh every second, for ever; back off while the database is away."""
        failures = 0
        while True:
            try:
                await self.refresh()
            except Unavailable as error:
                failures += 1
                _log.warning("tokens_not_refreshed", reason=str(error), age_seconds=self._rounded_age())
                await asyncio.sleep(pause_seconds(failures))
                continue
            if failures:
                _log.info("tokens_refreshed_again", tokens=len(self._senders))
            failures = 0
            await asyncio.sleep(REFRESH_SECONDS)

    def _sender(self, token: LiveToken) -> Sender:
        return sender(
            token.team,
            token.id,
            enabled=token.team_enabled,
            expires_at=math.inf if token.expires_at is None else token.expires_at.timestamp(),
            write_only=token.write_only,
            origins=token.origins,
            event_names=token.event_names,
            allowance=self._buckets.allowance(token.team, token.id, token.events_per_second),
        )

    def _rounded_age(self) -> float | None:
        return round(self.age_seconds(), 1) if self.loaded else None
