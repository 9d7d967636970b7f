"""When a process that died is started again.  Pure: it is told how long the process had lived."""

from dataclasses import dataclass

CALM_SECONDS = 60.0
FIRST_SECONDS = 0.2
LONGEST_SECONDS = 30.0
LOUD_DEATHS = 3


@dataclass(frozen=True, slots=True)
class Restart:
    """What follows a death.

    Attributes:
        deaths: how many there were without a calm minute between them, this one included.
    """

    deaths: int
    delay_seconds: float

    @property
    def loud(self) -> bool:
        """Whether it keeps dying, so that a line more is not enough."""
        return self.deaths >= LOUD_DEATHS


def after_death(deaths: int, lived_seconds: float) -> Restart:
    """What follows a death, after so many deaths in a row before it.

    The first restart comes at once, each further one after three times the wait, up to half a minute; who lived a calm
    minute starts over.
    """
    now = 1 if lived_seconds >= CALM_SECONDS else deaths + 1
    return Restart(now, min(FIRST_SECONDS * 3 ** (now - 1), LONGEST_SECONDS))
