"""One-time words in forms, so that a form that is sent again does nothing a second time.

A word is signed with a key that dies with the process, and is bound to the session it was made for; only used ones are
kept, each until it is too old anyway.
"""

import hmac
import secrets
from collections import OrderedDict
from enum import Enum, auto

LIFETIME_SECONDS = 12 * 3600
MAX_USED = 100_000


class Use(Enum):
    """What a word is worth."""

    FIRST = auto()
    AGAIN = auto()
    STALE = auto()
    """Too old, of another session, or of a process that is no more: nothing was done with it that we know of."""


class Nonces:
    """All words of this process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._used: OrderedDict[str, None] = OrderedDict()

    def make(self, session: bytes, now: float) -> str:
        """A new word for a form of this session; `now` is seconds since 1970."""
        body = f"{int(now)}.{secrets.token_hex(12)}"
        return f"{body}.{self._sign(session, body)}"

    def use(self, word: str, session: bytes, now: float) -> Use:
        """Use it up."""
        body, _, signature = word.rpartition(".")
        made_at = body.partition(".")[0]
        is_ours = hmac.compare_digest(signature.encode(), self._sign(session, body).encode())
        if not is_ours or now - int(made_at) > LIFETIME_SECONDS:
            return Use.STALE
        if word in self._used:
            return Use.AGAIN
        self._used[word] = None
        if len(self._used) > MAX_USED:
            self._used.popitem(last=False)
        return Use.FIRST

    def _sign(self, session: bytes, body: str) -> str:
        return hmac.digest(self._key, session + body.encode(), "sha256").hex()
