"""Sends dead letters to the raw topic once more.

An event is sent only where it has no row yet, and where no replay of it lies in the raw topic behind the record that
was refused.  So it does not matter how often this runs, or where it ended.  Two that run at once may both send an
event: then both records make the same row, and a team's view shows one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

from deploy.audit import AuditSettings
from deploy.dead_letter_log import DeadLetterLog, OnProgress
from deploy.dead_letters import DeadLetter, EventKey, Filters
from deploy.errors import NotConfirmed
from deploy.stored import stored
from schemas.errors import Unavailable
from schemas.topics import REPLAYED_FROM
from sink.audit import Span
from sink.writer import Writer
from stream.producer import Producer, SendFailed, connect

QUERY_SECONDS = 60
SEND_SECONDS = 60
STOP_SECONDS = 5
POLL_SECONDS = 0.1

Send = Callable[[int, Sequence[DeadLetter]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Request:
    """What to replay.

    Attributes:
        limit: how many events are sent at most; None for all.
        wait_seconds: how long to wait for the stream to deal with them.
    """

    filters: Filters
    limit: int | None = None
    dry_run: bool = False
    wait_seconds: float = 30.0


@dataclass(slots=True)
class Summary:
    """What became of the dead letters that were asked for.

    Attributes:
        events: how many are sent, or would be.
        stored: skipped, as the event has a row.
        replayed: skipped, as a replay of the event lies in the raw topic, or another dead letter of it is sent.
        obstacles: skipped, by the words that say why.
        sent: how many were.
        refused_again: how many of those are dead letters again.
        settled: whether the stream has dealt with all that were sent.
    """

    events: int = 0
    stored: int = 0
    replayed: int = 0
    obstacles: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    refused_again: int = 0
    settled: bool = True


Confirm = Callable[[Summary], bool]


async def replay(settings: AuditSettings, request: Request, confirm: Confirm, on_progress: OnProgress) -> Summary:
    """Replay what was asked for; `confirm` is told what would be sent, and asked.

    Raises:
        NotConfirmed: nothing was sent.
        Unavailable: Kafka or ClickHouse does not answer; run it again, whatever was sent.
    """
    async with DeadLetterLog(settings) as log, Writer(settings, QUERY_SECONDS) as writer:
        choice = _Choice(log, writer, settings.clickhouse_database, request, on_progress)
        await choice.prepare()
        summary = await choice.walk(None)
        if request.dry_run or not summary.events:
            return summary
        if not confirm(summary):
            raise NotConfirmed
        sent: dict[int, set[str]] = {}
        async with _connected(settings) as producer:

            async def send(partition: int, letters: Sequence[DeadLetter]) -> None:
                await _send(producer, log.topics.raw, partition, letters)
                sent.setdefault(partition, set()).update(letter.place for letter in letters)
                on_progress("dead letters sent", sum(map(len, sent.values())), summary.events)

            done = await choice.walk(send)
        done.sent = done.events
        done.settled = await _until_settled(log, sent, request.wait_seconds)
        done.refused_again = await _refused_again(log, choice.spans, sent)
        return done


class _Choice:
    """Which dead letters are to be sent; each walk asks ClickHouse anew, of the same dead letters."""

    def __init__(
        self, log: DeadLetterLog, writer: Writer, database: str, request: Request, on_progress: OnProgress
    ) -> None:
        self.spans: dict[int, Span] = {}
        self._log = log
        self._writer = writer
        self._database = database
        self._request = request
        self._on_progress = on_progress
        self._replays: dict[int, dict[EventKey, int]] = {}

    async def prepare(self) -> None:
        """Look where they are, and what was replayed already."""
        for partition in await self._log.partitions():
            self.spans[partition] = span = await self._log.span(partition, self._request.filters.since_ms)
            if (since_ms := await self._first_ms(partition, span)) is not None:
                self._replays[partition] = await self._log.replays(partition, since_ms, self._on_progress)

    async def walk(self, send: Send | None) -> Summary:
        """Go through all of them, and hand over those that are to be sent."""
        summary, taken = Summary(), set[EventKey]()
        for partition, replays in self._replays.items():
            async with aclosing(self._letters(partition, self.spans[partition])) as pieces:
                async for letters in pieces:
                    chosen = await self._chosen(letters, replays, taken, summary)
                    if self._request.limit is not None:
                        chosen = chosen[: self._request.limit - summary.events]
                    summary.events += len(chosen)
                    if send is not None and chosen:
                        await send(partition, chosen)
                    if summary.events == self._request.limit:
                        return summary
        return summary

    async def _first_ms(self, partition: int, span: Span) -> int | None:
        async with aclosing(self._letters(partition, span)) as pieces:
            async for letters in pieces:
                if letters:
                    return letters[0].time_ms
        return None

    def _letters(self, partition: int, span: Span) -> AsyncGenerator[list[DeadLetter]]:
        return self._log.letters(partition, span, self._request.filters)

    async def _chosen(
        self, letters: Sequence[DeadLetter], replays: dict[EventKey, int], taken: set[EventKey], summary: Summary
    ) -> list[DeadLetter]:
        there = await stored(self._writer, self._database, letters)
        chosen: list[DeadLetter] = []
        for letter in letters:
            event = letter.event
            if event in there:
                summary.stored += 1
            elif event is None or letter.obstacle is not None:
                summary.obstacles[letter.obstacle or ""] += 1
            elif event in taken or replays.get(event, -1) > letter.raw_offset:
                summary.replayed += 1
            else:
                taken.add(event)
                chosen.append(letter)
        return chosen


@asynccontextmanager
async def _connected(settings: AuditSettings) -> AsyncIterator[Producer]:
    producer = await connect(settings)
    try:
        yield producer
    finally:
        # It would wait for what Kafka does not take.
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await producer.stop()


async def _send(producer: Producer, topic: str, partition: int, letters: Sequence[DeadLetter]) -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await producer.send(topic, partition, [letter.raw_record() for letter in letters])
    except (SendFailed, TimeoutError) as error:
        raise Unavailable(
            f"Kafka did not acknowledge the replay ({error!r}); run it again: what was sent is skipped"
        ) from error


async def _until_settled(log: DeadLetterLog, sent: dict[int, set[str]], wait_seconds: float) -> bool:
    """Whether the stream has dealt with all of them in time."""
    deadline = time.monotonic() + wait_seconds
    for partition in sent:
        end = await log.raw_end(partition)
        while await log.normalized_to(partition) < end:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
    return True


async def _refused_again(log: DeadLetterLog, spans: dict[int, Span], sent: dict[int, set[str]]) -> int:
    """How many of those that were sent came back; a crash of the stream may have repeated them."""
    again: set[str] = set()
    for partition, places in sent.items():
        new = Span(spans[partition].stop, (await log.span(partition)).stop)
        async for letters in log.letters(partition, new, Filters()):
            again |= places.intersection(letter.text(REPLAYED_FROM) for letter in letters)
    return len(again)
