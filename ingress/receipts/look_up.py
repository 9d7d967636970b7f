"""The order in which Kafka and ClickHouse are asked for an event.

Invariant: an event that was acknowledged before the question is found, or the answer says that it is not complete.
"""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from ingress.receipts.evidence import Evidence, Row, Trace, Wanted
from ingress.receipts.receipt import Receipt, raw_places, write_receipt
from ingress.receipts.record_log import RecordLog
from ingress.receipts.warehouse import Warehouse
from ingress.spill import holds_records

NO_CLICKHOUSE = "The ingress has no CLICKHOUSE_URL: what is stored is not known."
NOT_ALL_READ = "Not all that waits in Kafka, or not all dead letters, could be read: ask again later."
SPILLED = "Events that came while Kafka was away wait on the ingress's disk: ask again later."


@dataclass(frozen=True, slots=True)
class Sources:
    """Where an event can be.

    Attributes:
        log: the topics.
        warehouse: None where it is not to be asked.
        spill_dir: where this machine's ingress keeps what Kafka could not take; None where it does not.
    """

    log: RecordLog
    warehouse: Warehouse | None
    spill_dir: Path | None


async def look_up(wanted: Wanted, sources: Sources) -> Receipt | None:
    """The receipt of an event; None where no event of this id was acknowledged to this team, as far as is kept.

    Raises:
        Unavailable: where Kafka or ClickHouse does not answer.
    """
    log, warehouse = sources.log, sources.warehouse
    rows = await _rows(wanted, warehouse)
    trace, spilled = Trace(), False
    if not rows:
        # Before Kafka is asked: what has left the disk by now is found there.
        spilled = sources.spill_dir is not None and await asyncio.to_thread(holds_records, sources.spill_dir)
        trace = await log.trace(wanted, all_raw=warehouse is None)
        # It may have been stored between the two questions; the sink may even be ahead of the stream's commits.
        rows = [] if trace.normalized else await _rows(wanted, warehouse)
    evidence = Evidence(wanted, rows, trace)
    evidence = replace(evidence, raw=await log.raw(raw_places(evidence)))
    return write_receipt(evidence, log.topics, None if rows else _gap(sources, trace, spilled=spilled))


async def _rows(wanted: Wanted, warehouse: Warehouse | None) -> list[Row]:
    return await warehouse.rows(wanted) if warehouse else []


def _gap(sources: Sources, trace: Trace, *, spilled: bool) -> str | None:
    gaps = [NO_CLICKHOUSE] * (sources.warehouse is None) + [NOT_ALL_READ] * (not trace.complete) + [SPILLED] * spilled
    return "  ".join(gaps) or None
