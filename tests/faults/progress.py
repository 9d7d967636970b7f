"""Whether events go on being acknowledged while a fault lasts; where they do not, the pipeline notes what broke."""

from collections import Counter

from schemas.topics import partition_for
from tests.faults.checker import Violation
from tests.faults.ledger import Ledger, Outcome
from tests.faults.pipeline import Pipeline
from tests.services import PARTITIONS, eventually

EVENTS = 100


async def goes_on(pipeline: Pipeline, during: str, seconds: float, events: int = EVENTS) -> None:
    """Wait until so many more events are acknowledged, some on each raw partition; a violation where they are not."""
    before = _acknowledged(pipeline.ledger)

    async def enough() -> bool:
        gained = _acknowledged(pipeline.ledger) - before
        return gained.total() >= events and len(gained) == PARTITIONS

    try:
        await eventually(enough, "events are acknowledged", seconds)
    except TimeoutError:
        gained = _acknowledged(pipeline.ledger) - before
        where = f"{during}: {gained.total()} in {seconds:.0f} s, by partition {dict(sorted(gained.items()))}"
        pipeline.broken.append(Violation("events are acknowledged while a part is away", where))


def _acknowledged(ledger: Ledger) -> Counter[int]:
    """Attempts of our senders that were answered with 200, by raw partition."""
    return Counter(
        partition_for(attempt.key.encode(), PARTITIONS)
        for several in ledger.attempts.values()
        for attempt in several
        if attempt.outcome is Outcome.OK and not attempt.poison
    )
