"""The audit beside a running sink: each round audits what was settled since, and looks again at what it found.

It shares nothing with the sink's own work but the process, so it can neither hold it up nor end it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from schemas import metrics
from schemas.errors import Unavailable
from schemas.logs import get_logger
from sink.audit import Finding, Offsets, Span, Violation
from sink.audit_log import AuditLog
from sink.audit_table import AuditTable
from sink.auditor import Auditor
from sink.settings import SinkSettings
from sink.writer import Writer

log = get_logger(__name__)

# What it may take of the process and of ClickHouse.
REST = 3.0
QUERY_SETTINGS = {"max_threads": 1, "max_execution_time": 30, "max_memory_usage": 256 << 20}
QUERY_SECONDS = 60
WINDOW = 1_000_000
MAX_DEAD_LETTERS = 1_000_000
MAX_FINDINGS = 10_000
NAMED = 5

_COUNTS = {
    Violation.MISSING: metrics.AUDIT_MISSING_OFFSETS,
    Violation.DOUBLED: metrics.AUDIT_DOUBLED_OFFSETS,
    Violation.BOTH: metrics.AUDIT_BOTH_OFFSETS,
}
_GAUGES = (metrics.AUDIT_SETTLED_OFFSET, metrics.AUDITED_OFFSET, metrics.AUDIT_PROGRESS_SECONDS, *_COUNTS.values())


@dataclass(slots=True)
class Audited:
    """What is known of one partition.

    Attributes:
        next: raw offset up to which it was audited.
        oldest: raw offset below which it is not audited: the dead letters there are not kept in mind.
        patrol: raw offset from which the next older window is audited again: rows can go lost later, too.
        read_to: offset up to which the dead letters were read.
        dead: the raw offsets of the dead letters that were read.
        late: those of them that came after their part was audited, and were not looked at yet.
        findings: what was found; looked at again in each round, as an operator may mend it, or a merge.
        dropped: how many more findings there were than are looked at again.
    """

    next: int
    oldest: int
    patrol: int
    read_to: int
    dead: Offsets = field(default_factory=Offsets)
    late: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    dropped: dict[Violation, int] = field(default_factory=lambda: dict.fromkeys(Violation, 0))

    def patrolled(self, start: int) -> Span:
        """The next older window; after the newest one it is the oldest's turn again."""
        start = max(start, self.oldest)
        first = max(start, self.patrol if self.patrol < self.next else start)
        self.patrol = min(first + WINDOW, self.next)
        return Span(first, max(first, self.patrol))

    def found(self, findings: list[Finding]) -> list[Finding]:
        """Keep what is new, and return it."""
        known = {(known.violation, known.offset) for known in self.findings}
        new = [finding for finding in findings if (finding.violation, finding.offset) not in known]
        room = MAX_FINDINGS - len(self.findings)
        self.findings += new[:room]
        for finding in new[room:]:
            self.dropped[finding.violation] += 1
        return new


class Watch:
    """Audits the partitions that the process has, until it is cancelled.

    Args:
        settings: of the sink.
        partitions: tells which ones it has at the moment.
    """

    def __init__(self, settings: SinkSettings, partitions: Callable[[], Collection[int]]) -> None:
        self._settings = settings
        self._partitions = partitions
        self._watched: set[int] = set()
        self._audited: dict[int, Audited] = {}

    async def run(self) -> None:
        """Round after round; whatever goes wrong is logged, and tried again in the next one."""
        while True:
            self._notice()
            try:
                async with _ways(self._settings) as (records, auditor):
                    while True:
                        await asyncio.sleep(self._settings.sink_audit_interval_seconds)
                        await self._round(records, auditor)
            except Unavailable as error:
                log.warning("audit_waits", error=str(error), todo="nothing: it goes on when that answers")
            except Exception:
                log.exception("audit_failed", todo="report it; the sink itself goes on")
            await asyncio.sleep(self._settings.sink_audit_interval_seconds)

    async def _round(self, records: AuditLog, auditor: Auditor) -> None:
        self._notice()
        for partition in sorted(self._watched):
            await self._audit(partition, records, auditor)

    def _notice(self) -> None:
        """Follow the group's rebalances; the time of a new partition runs from here, whether or not an answer comes."""
        assigned = set(self._partitions())
        for lost in self._watched - assigned:
            self._audited.pop(lost, None)
            for gauge in _GAUGES:
                gauge.remove(str(lost))
        for new in assigned - self._watched:
            metrics.AUDIT_PROGRESS_SECONDS.labels(new).set(time.time())
        self._watched = assigned

    async def _audit(self, partition: int, records: AuditLog, auditor: Auditor) -> None:
        span = await records.auditable(partition)
        state = self._audited.get(partition)
        if state is None or state.next > await records.raw_end(partition):
            # New to this process, or the raw topic was made anew.
            state = Audited(span.start, span.start, span.start, await records.dead_letters_since(partition, None))
            self._audited[partition] = state
        metrics.AUDIT_SETTLED_OFFSET.labels(partition).set(span.stop)
        await self._read_dead_letters(partition, state, span, records)
        await self._look_again(partition, state, auditor)
        await self._windows(partition, state, state.patrolled(span.start), auditor)
        await self._windows(partition, state, Span(max(state.next, span.start), span.stop), auditor)
        self._tell(partition, state)

    async def _windows(self, partition: int, state: Audited, span: Span, auditor: Auditor) -> None:
        began = time.monotonic()
        async for window, result in auditor.audit(partition, span, state.dead):
            _log_findings(partition, state.found(result.findings))
            state.next = max(state.next, window.stop)
            self._tell(partition, state)
            await asyncio.sleep((time.monotonic() - began) * REST)
            began = time.monotonic()

    async def _read_dead_letters(self, partition: int, state: Audited, span: Span, records: AuditLog) -> None:
        """Read on to the end; where that fails on the way, the same ones are read again."""
        state.dead.drop_below(span.start)
        read: set[int] = set()
        reached = state.read_to
        async for position, offsets in records.dead_letters(partition, state.read_to):
            read.update(offset for offset in offsets if offset >= max(span.start, state.oldest))
            reached = position
            if len(read) + len(state.dead) > MAX_DEAD_LETTERS:
                self._skip(partition, state, span)
                read = {offset for offset in read if offset >= state.next}
        state.late.update(offset for offset in read if offset < state.next)
        state.dead.add(read)
        state.read_to = reached

    def _skip(self, partition: int, state: Audited, span: Span) -> None:
        """Leave out what is settled, for there are too many dead letters to keep in mind."""
        log.warning(
            "audit_skips", partition=partition, start=state.next, stop=span.stop,
            todo="it goes on behind these; `events audit` audits them",
        )  # fmt: skip
        state.next = state.oldest = max(state.next, span.stop)
        state.dead.drop_below(state.next)
        state.late.clear()

    async def _look_again(self, partition: int, state: Audited, auditor: Auditor) -> None:
        """Judge anew what was found before, and what late dead letters are about."""
        again = sorted(state.late | {finding.offset for finding in state.findings})
        dead = {offset for offset in again if offset in state.dead}
        result = await auditor.examine(partition, again, dead)
        before, state.findings = state.findings, []
        state.late.clear()
        state.found(result.findings)
        _log_findings(partition, [finding for finding in result.findings if finding not in before])

    def _tell(self, partition: int, state: Audited) -> None:
        for violation, gauge in _COUNTS.items():
            count = sum(finding.violation is violation for finding in state.findings)
            gauge.labels(partition).set(count + state.dropped[violation])
        metrics.AUDITED_OFFSET.labels(partition).set(state.next)
        metrics.AUDIT_PROGRESS_SECONDS.labels(partition).set(time.time())


@asynccontextmanager
async def _ways(settings: SinkSettings) -> AsyncIterator[tuple[AuditLog, Auditor]]:
    # A way of its own into ClickHouse: a question that fails says nothing about the sink's inserts.
    async with AuditLog(settings, REST) as records, Writer(settings, QUERY_SECONDS) as writer:
        yield records, Auditor(records, AuditTable(writer, settings.clickhouse_database, QUERY_SETTINGS), WINDOW)


def _log_findings(partition: int, findings: list[Finding]) -> None:
    for violation in Violation:
        offsets = sorted(finding.offset for finding in findings if finding.violation is violation)
        if offsets:
            log.error(
                "audit_found", violation=violation, partition=partition, count=len(offsets), first=offsets[:NAMED],
                todo="docs/runbook.md says what to do; `events audit` names all of them",
            )  # fmt: skip
