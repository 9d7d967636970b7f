"""Which dead letters' events have a row by now."""

from collections.abc import Iterable

from deploy.dead_letters import DeadLetter, EventKey
from sink.writer import Writer

_EVENTS_PER_QUERY = 500
_STORED = "SELECT DISTINCT event_id, team FROM {database}.events WHERE event_id IN ({event_ids})"


async def stored(writer: Writer, database: str, letters: Iterable[DeadLetter]) -> set[EventKey]:
    """Those of their events that the warehouse holds.

    Raises:
        WarehouseUnavailable: ClickHouse does not answer.
    """
    found: set[EventKey] = set()
    asked = sorted({letter.event.event_id for letter in letters if letter.event})
    for start in range(0, len(asked), _EVENTS_PER_QUERY):
        event_ids = ",".join(f"'{event_id}'" for event_id in asked[start : start + _EVENTS_PER_QUERY])
        rows = await writer.query(_STORED.format(database=database, event_ids=event_ids), {})
        found |= {EventKey(event_id, team) for event_id, team in rows}
    return found
