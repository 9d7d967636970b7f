"""A small history of one team, whose numbers are worked out by hand; all times are UTC.

It goes over the end of summer time in Berlin: 2026-10-25 begins there on the 24th at 22:00 and ends, 25 hours later, on
the 25th at 23:00.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import requests

from schemas.settings import ClickHouseSettings
from sink.tables import Tables
from sink.writer import Writer
from tests.sink import envelope, event_id, store, without_merges

VIEW, TRIAL, PURCHASE = "Viewed a Page", "Started a Trial", "Purchased an Item"

# Place in the list = raw offset.
HISTORY: list[tuple[str, str, str, dict[str, object]]] = [
    ("ann", VIEW, "2026-09-01T10:00:00Z", {}),
    ("ben", VIEW, "2026-10-18T21:59:59.999999Z", {}),  # the last moment before the range
    ("ann", VIEW, "2026-10-18T22:00:00Z", {}),  # its first, Monday midnight
    ("ann", VIEW, "2026-10-18T22:20:00Z", {}),
    ("ann", TRIAL, "2026-10-18T22:50:00Z", {}),  # 30 minutes later: the same session
    ("ann", PURCHASE, "2026-10-20T08:00:00Z", {"revenue": 39.95, "currency": "EUR"}),
    ("eve", VIEW, "2026-10-21T12:00:00Z", {}),
    ("ben", VIEW, "2026-10-24T21:59:59.999999Z", {}),  # the last moment of the 24th
    ("ben", VIEW, "2026-10-24T22:00:00Z", {}),  # midnight
    ("ben", TRIAL, "2026-10-25T00:30:00Z", {}),  # 02:30 for the first time
    ("ben", PURCHASE, "2026-10-25T01:30:00Z", {"revenue": "39.95", "currency": "EUR"}),  # and for the second
    ("cleo", VIEW, "2026-10-25T22:30:00Z", {}),  # 23:30, still the 25th
    ("cleo", TRIAL, "2026-10-25T23:00:00Z", {}),  # midnight, the 26th
    ("ann", VIEW, "2026-10-27T09:00:00Z", {}),  # arrives three hours late
    ("dan", PURCHASE, "2026-10-27T23:00:00Z", {"revenue": None}),  # midnight, the 28th
    ("", VIEW, "2026-10-28T12:00:00Z", {}),  # has an anonymous_id only
    ("ben", PURCHASE, "2026-10-28T12:00:00Z", {"revenue": "1,000.50", "currency": "USD"}),
    ("ben", PURCHASE, "2026-10-28T12:05:00Z", {"revenue": 10, "currency": "USD"}),
    ("cleo", PURCHASE, "2026-11-01T22:59:59Z", {"revenue": "20", "currency": "EUR"}),  # 7 days and 29:59 after the view
    ("dan", PURCHASE, "2026-11-01T23:00:00Z", {"revenue": 1000, "currency": "EUR"}),  # the first moment after the range
]
SECONDS_UNDER_WAY = {5: 90, 13: 3 * 3600}
SENT_AGAIN = [5, 10]


@dataclass(frozen=True, slots=True)
class History:
    """A team whose events are stored, and the way to them."""

    clickhouse: ClickHouseSettings
    team: str

    def answer(self, query: str) -> list[list[object]]:
        """The rows that a query for the team `demo` has for this team."""
        url = self.clickhouse.clickhouse_url.get_secret_value()
        sql = query.replace("demo.events", f"{self.team}.events")
        response = requests.post(url, data=f"{sql}\nFORMAT JSONCompactEachRow".encode(), timeout=30)
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.text.splitlines()]


@asynccontextmanager
async def history(clickhouse: ClickHouseSettings, team: str) -> AsyncIterator[History]:
    """Store it as the sink does, in three batches that are never merged: events, second sendings, another team's."""
    await without_merges(clickhouse)
    async with Writer(clickhouse, timeout_seconds=30) as writer:
        await Tables(writer, clickhouse.clickhouse_database).ensure([team])
        events = [_stored(place, team, raw_offset=place) for place in range(len(HISTORY))]
        again = [_stored(place, team, raw_offset=100 + place, seconds=2 * 86_400) for place in SENT_AGAIN]
        for batch in (events, again, [_stored(5, f"{team}_x", raw_offset=200)]):
            await store(writer, batch, f"{team}/{len(batch)}", clickhouse.clickhouse_database)
    yield History(clickhouse, team)


def _stored(place: int, team: str, raw_offset: int, seconds: int = 1) -> bytes:
    user, event, time, properties = HISTORY[place]
    occurred_at = datetime.fromisoformat(time)
    received_at = occurred_at + timedelta(seconds=SECONDS_UNDER_WAY.get(place, 0) + seconds)
    return envelope(
        0,
        raw_offset,
        team,
        event_id=event_id(0, place),
        event=event,
        user_id=user,
        anonymous_id="" if user else "visitor",
        occurred_at=_microseconds(occurred_at),
        received_at=_microseconds(received_at),
        properties_json=json.dumps(properties),
    )


def _microseconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
