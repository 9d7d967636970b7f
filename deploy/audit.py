"""The audit as `events audit` carries it out: one partition after the other, each from a time or the beginning on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic_settings import SettingsConfigDict

from schemas.settings import ClickHouseSettings, KafkaSettings
from sink.audit import Offsets, Result, Span, Violation
from sink.audit_log import AuditLog
from sink.audit_table import AuditTable
from sink.auditor import Auditor
from sink.writer import Writer

QUERY_SECONDS = 300
MOST_FINDINGS = 100_000

OnProgress = Callable[[int, Span, int], None]
"""Told the partition, its span, and the offset that was reached."""


class AuditSettings(KafkaSettings, ClickHouseSettings):
    """The ways to Kafka and ClickHouse."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class NoSuchPartition(Exception):
    """The raw topic has no partition of this number."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to audit.

    Attributes:
        since_ms: from the first record on that is not older; None for the beginning.
        until_ms: up to the first record that is not older; None for the last settled one.
        partition: only this one.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What the audit of one partition came to."""

    partition: int
    span: Span
    result: Result
    violations: dict[Violation, int]


async def audit(settings: AuditSettings, request: Request, on_progress: OnProgress) -> list[Report]:
    """Audit what was asked for.

    Raises:
        NoSuchPartition: of that number.
        Unavailable: Kafka or ClickHouse does not answer.
    """
    async with AuditLog(settings) as records, Writer(settings, QUERY_SECONDS) as writer:
        auditor = Auditor(records, AuditTable(writer, settings.clickhouse_database))
        partitions = _chosen(await records.partitions(), request)
        return [await _one(records, auditor, partition, request, on_progress) for partition in partitions]


def _chosen(partitions: Sequence[int], request: Request) -> Sequence[int]:
    if request.partition is None:
        return partitions
    if request.partition not in partitions:
        raise NoSuchPartition(f"there is no partition {request.partition}; they are 0 to {partitions[-1]}")
    return [request.partition]


async def _one(
    records: AuditLog, auditor: Auditor, partition: int, request: Request, on_progress: OnProgress
) -> Report:
    span = await records.auditable(partition)
    if request.since_ms is not None:
        start = min(span.stop, max(span.start, await records.raw_since(partition, request.since_ms)))
        span = Span(start, span.stop)
    if request.until_ms is not None:
        stop = await records.raw_since(partition, request.until_ms)
        span = Span(span.start, max(span.start, min(span.stop, stop)))
    dead = await _dead_letters(records, partition, span, request)
    total, violations = Result(), dict.fromkeys(Violation, 0)
    on_progress(partition, span, span.start)
    async for window, result in auditor.audit(partition, span, dead):
        for violation in Violation:
            violations[violation] += len(result.of(violation))
        del result.findings[max(0, MOST_FINDINGS - len(total.findings)) :]
        total.add(result)
        on_progress(partition, span, window.stop)
    return Report(partition, span, total, violations)


async def _dead_letters(records: AuditLog, partition: int, span: Span, request: Request) -> Offsets:
    found: set[int] = set()
    if span.start < span.stop:
        position = await records.dead_letters_since(partition, request.since_ms)
        async for _, offsets in records.dead_letters(partition, position):
            found.update(offset for offset in offsets if span.start <= offset < span.stop)
    return Offsets(found)
