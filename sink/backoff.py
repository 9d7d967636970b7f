"""How long to wait before asking an absent ClickHouse again."""

import random

FIRST_SECONDS = 0.1
LAST_SECONDS = 5.0


def pause_seconds(tries: int) -> float:
    """Doubles with each try before it, up to a limit; the jitter keeps partitions and copies from trying in step."""
    longest: float = min(LAST_SECONDS, FIRST_SECONDS * 2 ** min(tries, 16))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret
