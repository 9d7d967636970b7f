"""Who looks at which team: feeds are there, and Kafka is read, only while somebody does."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, Self

from ingress.backoff import pause_seconds
from ingress.console.live.feed import Feed
from ingress.console.live.follower import Follower
from ingress.console.live.messages import Sight
from schemas.logs import get_logger
from schemas.metrics import LIVE_VIEWERS
from schemas.settings import KafkaSettings

MAX_VIEWERS_PER_USER = 6
# A page that is loaded anew finds what was there.
LINGER_SECONDS = 10.0
PASSED_OVER_SECONDS = 5.0

_log = get_logger(__name__)


class TooManyViewers(Exception):
    """As many look as may; the message says whose limit it is."""


class Watch:
    """All viewers of this process.

    Args:
        settings: the way to Kafka.
        per_second: how many new events of each team are shown.
        max_viewers: of all teams.
    """

    def __init__(self, settings: KafkaSettings, per_second: int, max_viewers: int) -> None:
        self.per_second = per_second
        self.stopping = asyncio.Event()
        self._settings = settings
        self._max_viewers = max_viewers
        self._feeds: dict[str, Feed] = {}
        self._viewers: Counter[str] = Counter()
        self._users: Counter[str] = Counter()
        self._follower = Follower(settings, self._feeds)
        self._following: asyncio.Task[NoReturn] | None = None

    @property
    def sight(self) -> Sight:
        """How much of what passes is seen at the moment."""
        follower = self._follower
        return Sight(follower.answers, time.time() - follower.passed_over_at < PASSED_OVER_SECONDS)

    async def __aenter__(self) -> Self:
        """Nothing is connected before somebody looks."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect."""
        self.stopping.set()
        self._feeds.clear()
        await self._stop_following()

    @contextmanager
    def viewer(self, user_id: str, team: str) -> Iterator[Feed]:
        """Look at a team, for as long as the context lasts.

        Raises:
            TooManyViewers: where this user, or all of them, look at too much.
        """
        if self._users[user_id] >= MAX_VIEWERS_PER_USER:
            raise TooManyViewers(f"You look at {MAX_VIEWERS_PER_USER} Live pages already: close one of them.")
        if self._viewers.total() >= self._max_viewers:
            raise TooManyViewers("As many look at Live pages as this console lets: come back later.")
        self._users[user_id] += 1
        self._viewers[team] += 1
        LIVE_VIEWERS.set(self._viewers.total())
        try:
            yield self._feed(team)
        finally:
            self._users = self._users - Counter([user_id])
            self._viewers = self._viewers - Counter([team])
            LIVE_VIEWERS.set(self._viewers.total())
            if team not in self._viewers:
                asyncio.get_running_loop().call_later(LINGER_SECONDS, self._forget, team)

    def _feed(self, team: str) -> Feed:
        feed = self._feeds.get(team)
        if feed is not None:
            return feed
        feed = self._feeds[team] = Feed(self.per_second, secrets.token_hex(4))
        if self._following is None:
            self._follower = Follower(self._settings, self._feeds)
            self._following = asyncio.create_task(self._follow(self._follower))
        else:
            self._follower.look_back(team)
        return feed

    def _forget(self, team: str) -> None:
        if team not in self._viewers:
            self._feeds.pop(team, None)
        if not self._feeds and self._following is not None:
            self._following.cancel()
            self._following = None

    async def _follow(self, follower: Follower) -> NoReturn:
        failures = 0
        while True:
            try:
                await follower.run()
            except Exception:  # noqa: BLE001 - a bug, and logged as one; the pages go on
                follower.answers = False
                failures += 1
                _log.exception("live_failed")
                await asyncio.sleep(pause_seconds(failures))

    async def _stop_following(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
