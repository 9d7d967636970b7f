"""Passwords: argon2id, off the event loop, and the same time for users who are not there.

Sources: RFC 9106 (second recommended choice: 64 MiB, three passes), OWASP ASVS 5.0, 6.2.
"""

import asyncio
from functools import partial
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

MIN_CHARACTERS = 12
MAX_CHARACTERS = 128
# Each takes 64 MiB and a core for 0.1 s: more at once would not be faster.
_AT_ONCE = 2
_MIN_DIFFERENT = 5
# Of the lists of passwords that leaked most often, what is long enough to pass the rules above, and its like.
_COMMON = frozenset(files("ingress.accounts").joinpath("common_passwords.txt").read_text("utf-8").split())


class Passwords:
    """Hashes and checks them, a few at a time."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        # Of a password that nobody has; it costs what any other costs.
        self._nobodys = self._hasher.hash("")

    async def hash(self, password: str) -> str:
        """What is stored in its place."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the one; None stands for a user who is not there, which takes as long."""
        async with self._turn:
            is_right = await asyncio.to_thread(partial(self._verify, password_hash or self._nobodys, password))
        return is_right and password_hash is not None

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False


def check_strength(password: str, email: str) -> None:
    """Whether it may be somebody's password.

    Raises:
        ValueError: where it is too short, too long or too easy, with words for who typed it.
    """
    if len(password) < MIN_CHARACTERS:
        raise ValueError(f"Use at least {MIN_CHARACTERS} characters; 15 or more are better.")
    if len(password) > MAX_CHARACTERS:
        raise ValueError(f"Use at most {MAX_CHARACTERS} characters.")
    plain = password.lower()
    if plain in _COMMON or len(set(plain)) < _MIN_DIFFERENT:
        raise ValueError("This is one of the first that others would try.  Choose another.")
    name = email.partition("@")[0].lower()
    if len(name) > 2 and name in plain:
        raise ValueError("It must not contain your name.  Choose another.")
