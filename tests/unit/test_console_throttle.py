"""Trying passwords is slowed down, and nobody is kept out by others."""

from hypothesis import given
from hypothesis import strategies as st

from ingress.console.throttle import Rate, Throttle

ADDRESS, ACCOUNT = Rate(4, 10), Rate(2, 60)


def throttle(max_buckets: int = 100) -> Throttle:
    """One that is soon empty."""
    return Throttle(ADDRESS, ACCOUNT, max_buckets)


def test_take_when_one_account_is_tried() -> None:
    """An address has its burst for an account, and then waits for as long as it is told."""
    tries = throttle()

    assert [tries.take("192.0.2.1", "ann", 1000), tries.take("192.0.2.1", "ann", 1000)] == [0, 0]
    assert tries.take("192.0.2.1", "ann", 1000) == 60
    assert tries.take("192.0.2.1", "ann", 1059) == 1
    assert tries.take("192.0.2.1", "ann", 1060) == 0


def test_take_when_other_accounts_are_tried() -> None:
    """An address has its burst for all accounts together."""
    tries = throttle()

    taken = [tries.take("192.0.2.1", f"user {number}", 1000) for number in range(5)]

    assert taken == [0, 0, 0, 0, 10]


def test_take_when_another_address_tried() -> None:
    """Whoever guesses keeps nobody else out, of the account that was guessed at neither."""
    tries = throttle()
    for _ in range(100):
        tries.take("192.0.2.1", "ann", 1000)

    assert tries.take("192.0.2.2", "ann", 1000) == 0


def test_take_when_addresses_are_of_one_network() -> None:
    """Who has an IPv6 address has all of its /64, which counts as one; an IPv4 address stays one in IPv6's clothes."""
    tries = throttle()
    for host in range(2):
        tries.take(f"2001:db8::{host:x}", "ann", 1000)
        tries.take(f"::ffff:192.0.2.{host}", "ann", 1000)

    assert tries.take("2001:db8::ffff", "ann", 1000) == 60
    assert tries.take("2001:db8:0:1::1", "ann", 1000) == 0
    assert tries.take("::ffff:192.0.2.7", "ann", 1000) == 0


def test_give_back_when_the_password_was_right() -> None:
    """Signing in does not count, however often."""
    tries = throttle()

    for _ in range(50):
        assert tries.take("192.0.2.1", "ann", 1000) == 0
        tries.give_back("192.0.2.1", "ann")


def test_take_when_refused() -> None:
    """A try that was refused costs nothing: who goes on trying waits no longer for it."""
    tries = throttle()
    for _ in range(50):
        tries.take("192.0.2.1", "ann", 1000)

    assert tries.take("192.0.2.1", "ann", 1060) == 0


def test_take_when_there_are_many_addresses() -> None:
    """What is remembered has an end."""
    tries = throttle(max_buckets=10)
    for host in range(1000):
        tries.take(f"192.0.2.{host}", "ann", 1000)

    assert len(tries._full_at) <= 10


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_take_when_times_are_any(pauses: list[float]) -> None:
    """In any stretch of time an address gets at most the burst and what has come since."""
    tries, now, granted = throttle(), 1000.0, 0
    for pause in pauses:
        now += pause
        granted += tries.take("192.0.2.1", "ann", now) == 0

    assert granted <= ACCOUNT.burst + (now - 1000) / ACCOUNT.seconds
