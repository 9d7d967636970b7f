"""When the launcher starts a dead process again."""

from itertools import accumulate

from deploy.local.backoff import CALM_SECONDS, LONGEST_SECONDS, after_death


def test_restart_when_first_death() -> None:
    """A process that dies once is back at once, and nobody is alarmed."""
    restart = after_death(0, lived_seconds=5)

    assert restart.delay_seconds < 1
    assert not restart.loud


def test_restart_when_it_keeps_dying() -> None:
    """Each further death waits longer, up to half a minute, and is said loudly from the third on."""
    deaths = list(
        accumulate(range(8), lambda restart, _: after_death(restart.deaths, 1.0), initial=after_death(0, 1.0))
    )

    delays = [restart.delay_seconds for restart in deaths]
    assert delays == sorted(delays)
    assert delays[1] > delays[0]
    assert delays[-1] == LONGEST_SECONDS
    assert [restart.loud for restart in deaths[:4]] == [False, False, True, True]


def test_restart_when_it_lived_a_calm_minute() -> None:
    """Who lived long enough begins anew."""
    assert after_death(9, lived_seconds=CALM_SECONDS) == after_death(0, lived_seconds=1)
