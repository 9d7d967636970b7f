"""A form does its work once."""

import pytest

from ingress.console.nonces import LIFETIME_SECONDS, Nonces, Use

SESSION = b"s" * 32


def test_use_when_sent_again() -> None:
    """The first time counts, every other is told apart."""
    nonces = Nonces()
    word = nonces.make(SESSION, 1000)

    assert [nonces.use(word, SESSION, 1001) for _ in range(3)] == [Use.FIRST, Use.AGAIN, Use.AGAIN]


def test_use_when_from_another_session_process_or_time() -> None:
    """A word is good in the session and the process that it was made in, and for half a day."""
    nonces = Nonces()
    word = nonces.make(SESSION, 1000)

    assert nonces.use(word, b"t" * 32, 1000) is Use.STALE
    assert Nonces().use(word, SESSION, 1000) is Use.STALE
    assert nonces.use(word, SESSION, 1001 + LIFETIME_SECONDS) is Use.STALE
    assert nonces.use(word, SESSION, 1000) is Use.FIRST


@pytest.mark.parametrize("word", ["", ".", "..", "1.2.3", "x" * 10_000, "1000.ü.ü"])
def test_use_when_made_up(word: str) -> None:
    """What is not ours is worth nothing, and breaks nothing."""
    assert Nonces().use(word, SESSION, 1000) is Use.STALE
