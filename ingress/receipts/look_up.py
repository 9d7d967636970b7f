"""The order in which Kafka and ClickHouse are asked for an event.

Invariant: an event that was acknowledged before the question is found, or the answer says that it is not complete.
"""

from dataclasses import replace

from ingress.receipts.evidence import Evidence, Row, Trace, Wanted
from ingress.receipts.receipt import Receipt, raw_places, write_receipt
from ingress.receipts.record_log import RecordLog
from ingress.receipts.warehouse import Warehouse

NO_CLICKHOUSE = "The ingress has no CLICKHOUSE_URL: what is stored is not known."
NOT_ALL_READ = "Not all that waits in Kafka, or not all dead letters, could be read: ask again later."


async def look_up(wanted: Wanted, log: RecordLog, warehouse: Warehouse | None) -> Receipt | None:
    """The receipt of an event; None where no event of this id was acknowledged to this team, as far as is kept.

    Raises:
        Unavailable: where Kafka or ClickHouse does not answer.
    """
    rows = await _rows(wanted, warehouse)
    trace = Trace()
    if not rows:
        trace = await log.trace(wanted, all_raw=warehouse is None)
        # It may have been stored between the two questions; the sink may even be ahead of the stream's commits.
        rows = [] if trace.normalized else await _rows(wanted, warehouse)
    evidence = Evidence(wanted, rows, trace)
    evidence = replace(evidence, raw=await log.raw(raw_places(evidence)))
    return write_receipt(evidence, log.topics, None if rows else _gap(trace, warehouse))


async def _rows(wanted: Wanted, warehouse: Warehouse | None) -> list[Row]:
    return await warehouse.rows(wanted) if warehouse else []


def _gap(trace: Trace, warehouse: Warehouse | None) -> str | None:
    gaps = [NO_CLICKHOUSE] * (warehouse is None) + [NOT_ALL_READ] * (not trace.complete)
    return "  ".join(gaps) or None
