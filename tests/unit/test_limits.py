"""Token buckets: nobody gets more than the limit, and nobody pays for another."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.limits import BURST_SECONDS, Allowance, Bucket, Buckets, RateLimited

NOW = 1000.0
A_BATCH = 50


def refusal(allowance: Allowance, events: int, now: float) -> RateLimited | None:
    """Why so many events are not let through; None where they are."""
    try:
        allowance.take(events, now)
    except RateLimited as error:
        return error
    return None


def sends(allowance: Allowance, events: int, now: float) -> bool:
    """Whether so many events are let through."""
    return refusal(allowance, events, now) is None


def told(allowance: Allowance, now: float) -> dict[str, str]:
    """The headers that tell of the limit."""
    headers = dict[str, str]()
    allowance.tell(headers, now)
    return dict(headers)


def test_events_when_sent_at_once() -> None:
    """Two seconds' worth passes at once; after that one more passes each time that one has trickled in."""
    allowance = Allowance(Bucket("acme", 10))

    assert sum(sends(allowance, 1, NOW) for _ in range(100)) == 20
    assert sum(sends(allowance, 1, NOW + 0.55) for _ in range(100)) == 5
    assert sum(sends(allowance, 1, NOW + 1000) for _ in range(100)) == 20


@given(
    rate=st.integers(1, 100),
    requests=st.lists(st.tuples(st.integers(0, A_BATCH), st.floats(0, 5)), max_size=60),
)
def test_events_when_sent_anyhow(rate: int, requests: list[tuple[int, float]]) -> None:
    """However they come, no more than rate * (seconds + burst) events pass, and the rest of one batch."""
    allowance, now, passed = Allowance(Bucket("acme", rate)), NOW, 0
    for events, pause in requests:
        now += pause
        passed += events * sends(allowance, events, now)

    assert passed <= rate * (now - NOW + BURST_SECONDS) + A_BATCH + 1e-6


def test_batch_when_larger_than_the_bucket() -> None:
    """It passes when the bucket is full, and is paid back before anything else passes."""
    allowance = Allowance(Bucket("acme", 10))

    assert sends(allowance, 100, NOW)
    assert not sends(allowance, 1, NOW + 8)
    assert sends(allowance, 1, NOW + 8.1)
    assert not sends(allowance, 100, NOW + 9.9)
    assert sends(allowance, 100, NOW + 10.1)


def test_batch_when_it_does_not_fit() -> None:
    """It is refused as a whole and costs nothing: a smaller one still fits."""
    allowance = Allowance(Bucket("acme", 10))
    assert sends(allowance, 15, NOW)

    assert not sends(allowance, 6, NOW)
    assert sends(allowance, 5, NOW)


@given(spent=st.integers(1, 300), events=st.integers(1, 100), rate=st.integers(1, 50))
def test_refusal_when_waited_for(spent: int, events: int, rate: int) -> None:
    """The seconds of a refusal are whole and at least one; after them the same request passes."""
    allowance = Allowance(Bucket("acme", rate))
    allowance.take(spent, NOW)

    refused = refusal(allowance, events, NOW)

    if refused is not None:
        assert refused.retry_after_seconds >= 1
        assert refused.events == events
        # A microsecond for the last digit of a float.
        assert sends(allowance, events, NOW + refused.retry_after_seconds + 1e-6)


def test_refusal_when_read() -> None:
    """It says whose limit it is, how much that is, and when to send again."""
    allowance = Allowance(Bucket("The team acme", 1000), Bucket("The token tok_1", 1))
    allowance.take(10, NOW)

    with pytest.raises(RateLimited, match=r"The token tok_1 may send 1 events a second, 2 at once.*again in 9 s"):
        allowance.take(1, NOW)


def test_buckets_when_one_is_empty() -> None:
    """Events must fit into both the team's and the token's bucket, and a refusal by one costs the other nothing."""
    team, token = Bucket("team", 100), Bucket("token", 1)
    allowance = Allowance(team, token)

    assert [sends(allowance, 1, NOW) for _ in range(3)] == [True, True, False]
    assert team.level == 198


def test_headers_when_told() -> None:
    """They tell of the bucket that is emptier: what it holds, what is left, and when it is full again."""
    allowance = Allowance(Bucket("team", 5), Bucket("token", 100))

    assert told(allowance, NOW) == {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "10", "X-RateLimit-Reset": "0"}
    allowance.take(3, NOW)
    assert told(allowance, NOW) == {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "1"}
    allowance.take(7, NOW)
    assert told(allowance, NOW)["X-RateLimit-Remaining"] == "0"


def test_headers_when_in_debt() -> None:
    """What is left is never below zero, and the debt counts for the time until the bucket is full."""
    allowance = Allowance(Bucket("team", 5))
    allowance.take(60, NOW)

    assert told(allowance, NOW) == {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}


def test_allowance_when_there_is_no_limit() -> None:
    """Anything passes, and nothing is told of a limit."""
    allowance = Buckets(0, 0).allowance("acme", "tok_1", None)

    assert sends(allowance, 10**9, NOW)
    assert told(allowance, NOW) == {}


def test_buckets_when_tokens_are_loaded_anew() -> None:
    """A team's tokens share its bucket, and what was spent stays spent when their allowances are made again."""
    buckets = Buckets(10, 0)
    first = buckets.allowance("acme", "tok_1", None)
    first.take(20, NOW)

    again, other_token = (buckets.allowance("acme", token, None) for token in ("tok_1", "tok_2"))

    assert not sends(again, 1, NOW)
    assert not sends(other_token, 1, NOW)
    assert sends(buckets.allowance("other", "tok_3", None), 20, NOW)


@pytest.mark.parametrize(("own", "passed"), [(None, 6), (1, 2), (100, 20)])
def test_token_when_it_has_a_limit_of_its_own(own: int | None, passed: int) -> None:
    """It holds instead of that for all tokens, and the team's holds all the same."""
    allowance = Buckets(10, 3).allowance("acme", "tok_1", own)

    assert sum(sends(allowance, 1, NOW) for _ in range(100)) == passed


def test_bucket_when_its_limit_changes() -> None:
    """The new limit holds from then on."""
    buckets = Buckets(0, 0)
    old = buckets.allowance("acme", "tok_1", 1)
    old.take(2, NOW)

    assert sends(buckets.allowance("acme", "tok_1", 5), 10, NOW)


def test_buckets_when_nobody_sends_with_them() -> None:
    """They are forgotten: revoked tokens leave nothing behind."""
    buckets = Buckets(1, 1)
    for number in range(100):
        buckets.allowance("acme", f"tok_{number}", None)
    gc.collect()

    assert len(buckets._buckets) == 0
