"""What is seen of a pipeline while a fault lasts: whether events go on being acknowledged, and what processes count."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from schemas.topics import partition_for
from tests.faults.checker import Violation
from tests.faults.counters import PROCESSES, Counts, Life
from tests.faults.ledger import Ledger, Outcome
from tests.faults.observe import length
from tests.faults.pipeline import Pipeline
from tests.services import PARTITIONS, eventually

EVENTS = 100
ASSIGNED = '"partitions_assigned"'
NOTICED_SECONDS = 40
ANSWER = aiohttp.ClientTimeout(total=5)


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


async def counted(pipeline: Pipeline, process: str, sample: str, **labels: str) -> float:
    """The sum of one of a process's counters over all other labels; 0 while it does not answer."""
    found = await _samples(pipeline, process) or []
    return sum(one.value for one in found if one.name == sample and labels.items() <= one.labels.items())


async def counts(pipeline: Pipeline) -> Counts:
    """What is counted now; nothing must be under way."""
    attempts = [attempt for several in pipeline.ledger.attempts.values() for attempt in several if not attempt.poison]
    outcomes = Counter(attempt.outcome for attempt in attempts)
    topics = pipeline.kafka.topics
    return Counts(
        outcomes[Outcome.OK],
        outcomes[Outcome.UNKNOWN],
        await length(pipeline.kafka, topics.normalized),
        await length(pipeline.kafka, topics.dead_letter),
        {name: life for name in PROCESSES if (life := await _life(pipeline, name))},
    )


async def _life(pipeline: Pipeline, process: str) -> Life | None:
    """A process as it is now; None where it is not ours, or does not answer."""
    if process not in pipeline.children or (samples := await _samples(pipeline, process)) is None:
        return None
    counters: defaultdict[str, float] = defaultdict(float)
    for one in samples:
        counters[one.name.removeprefix("eventsapi_").removesuffix("_total")] += one.value
    assignments = (pipeline.folder / f"{process}.log").read_text("utf-8").count(ASSIGNED)
    return Life((pipeline.children[process].status.birth, pipeline.starts[process]), assignments, counters)


async def _samples(pipeline: Pipeline, process: str) -> list[Sample] | None:
    """All that a process tells; None where the pipeline did not start it, or it does not answer."""
    if process not in pipeline.specs:
        return None
    url = pipeline.specs[process].probe.replace("/readyz", "/metrics")
    try:
        async with aiohttp.ClientSession() as session, session.get(url, timeout=ANSWER) as answer:
            families = text_string_to_metric_families(await answer.text())
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
    return [one for family in families for one in family.samples]


async def grows(pipeline: Pipeline, count: Callable[[], Awaitable[float]], otherwise: str) -> None:
    """Wait until a count grows; a violation where it does not: a fault that nobody meets proves nothing."""
    before = await count()

    async def grown() -> bool:
        return await count() > before

    try:
        await eventually(grown, otherwise, NOTICED_SECONDS)
    except TimeoutError as error:
        pipeline.broken.append(Violation("the fault is met", str(error)))


async def answered(pipeline: Pipeline, status: str) -> float:
    """How many requests the ingress has answered so."""
    return await counted(pipeline, "ingress", "eventsapi_http_requests_total", status=status)


def _acknowledged(ledger: Ledger) -> Counter[int]:
    """Attempts of our senders that were answered with 200, by raw partition."""
    return Counter(
        partition_for(attempt.key.encode(), PARTITIONS)
        for several in ledger.attempts.values()
        for attempt in several
        if attempt.outcome is Outcome.OK and not attempt.poison
    )
