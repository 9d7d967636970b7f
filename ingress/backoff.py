"""How long to wait before trying an absent service again."""

from random import uniform

FIRST_SECONDS = 0.25
MAX_SECONDS = 5.0


def pause_seconds(failures: int) -> float:
    """Doubles with each failure up to a limit; the jitter keeps copies of a process from trying in step."""
    limit: float = min(MAX_SECONDS, FIRST_SECONDS * 2 ** min(failures, 10))
    return limit * uniform(0.5, 1)  # noqa: S311 - not a secret
