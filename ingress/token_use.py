"""When each token was last used, noted in memory and written beside the requests, at most once a minute for each.

Invariant: no request waits for it, and none fails for it.
"""

import asyncio
from datetime import UTC, datetime

from ingress.accounts.store import Accounts
from schemas.errors import Unavailable
from schemas.logs import get_logger

LOOK_SECONDS = 2.0
WRITE_SECONDS = 60.0
# A database that hangs must not hold the next try for longer than this.
MAX_SECONDS = 10.0

_log = get_logger(__name__)


class TokenUse:
    """What this process has seen of tokens.

    Attributes:
        last: seconds since 1970, by token id; whoever takes a token notes it here.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.last: dict[str, float] = {}
        self._accounts = accounts
        self._written: dict[str, float] = {}

    async def keep_written(self) -> None:
        """Write what is due, for ever; a database that is away is asked again a minute later."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if due := self.due():
                self._written |= due
                await self._write(due)

    def due(self) -> dict[str, float]:
        """The tokens whose last use is to be written: those that were not within the minute before it."""
        return {name: at for name, at in self.last.items() if at - self._written.get(name, 0.0) >= WRITE_SECONDS}

    async def _write(self, due: dict[str, float]) -> None:
        used = {name: datetime.fromtimestamp(at, UTC) for name, at in due.items()}
        try:
            async with asyncio.timeout(MAX_SECONDS):
                await self._accounts.touch_tokens(used)
        except (Unavailable, TimeoutError) as error:
            _log.warning("token_use_not_written", tokens=len(used), reason=str(error) or repr(error))
