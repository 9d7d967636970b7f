"""Passwords are stored so that they cannot be guessed, and easy ones are not taken."""

import time

import pytest
from argon2 import PasswordHasher

from ingress.accounts.passwords import Passwords, check_strength

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def test_check_when_right_or_wrong() -> None:
    """Only the password itself is right, to the letter; nobody's and nonsense's never."""
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("a good deal of words")

    assert await passwords.check(stored, "a good deal of words")
    assert not await passwords.check(stored, "a good deal of words ")
    assert not await passwords.check(stored, "")
    assert not await passwords.check(None, "")
    assert not await passwords.check("no hash", "a good deal of words")


async def test_hash_when_stored() -> None:
    """argon2id with 64 MiB and three passes (RFC 9106), a salt of its own, and nothing of the password."""
    passwords = Passwords()

    one, two = await passwords.hash("a good deal of words"), await passwords.hash("a good deal of words")

    assert one.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert one != two
    assert "words" not in one


async def test_check_when_user_is_unknown() -> None:
    """It takes about as much of the processor as for one who is there."""
    passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=1 << 15, parallelism=1))
    stored = await passwords.hash("a good deal of words")

    async def quickest(password_hash: str | None) -> float:
        times = []
        for _ in range(5):
            started = time.process_time()
            await passwords.check(password_hash, "another one")
            times.append(time.process_time() - started)
        return min(times)

    known, unknown = await quickest(stored), await quickest(None)

    assert 0.5 < unknown / known < 2


@pytest.mark.parametrize(
    "password", ["correct horse battery", "twelve chars", "ßäöü漢字かな交じり文", " " * 4 + "a b c d e"]
)
def test_strength_when_good(password: str) -> None:
    """Length counts, and nothing else is asked for."""
    check_strength(password, "ann@example.com")


@pytest.mark.parametrize(
    "password",
    [
        "eleven char",
        "",
        "x" * 129,
        "Password1234",
        "aaaaaaaaaaaaaa",
        "121212121212",
        "qwertyuiopasdfghjkl",
        "dear ann, hello",
    ],
)
def test_strength_when_bad(password: str) -> None:
    """Too short, too long, on everybody's list, or the user's own name: refused with a sentence."""
    with pytest.raises(ValueError, match=r"^[A-Z].*\.$"):
        check_strength(password, "ann@example.com")
