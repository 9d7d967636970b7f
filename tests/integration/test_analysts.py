"""docs/analysts.md: each of its queries, run as it stands, has the numbers that were worked out by hand."""

import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.settings import ClickHouseSettings
from tests import docs
from tests.analysts import PURCHASE, TRIAL, VIEW, History, history
from tests.stack import Stack

PAGE = "docs/analysts.md"
QUERIES = dict(
    re.findall(
        r"^### \d+\. (.+?)\n.*?^```sql\n(.*?)^```$",
        (docs.ROOT / PAGE).read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
)
RANGE = (
    "occurred_at >= toDateTime('2026-10-19 00:00:00', 'Europe/Berlin') "
    "AND occurred_at < toDateTime('2026-11-02 00:00:00', 'Europe/Berlin')"
)
DAYS = {"19": 3, "20": 1, "21": 1, "24": 1, "25": 4, "26": 1, "27": 1, "28": 4}
ANSWERS: dict[str, list[list[object]]] = {
    "Events per day": [[f"2026-10-{day}", DAYS.get(str(day), 0)] for day in range(19, 32)] + [["2026-11-01", 1]],
    "Active users per week": [["2026-10-19", 4], ["2026-10-26", 5]],
    "Funnel": [[5, 3, 2]],
    "Retention by week": [["2026-10-19", 0, 4], ["2026-10-19", 1, 3], ["2026-10-26", 0, 2]],
    "Revenue by day and currency": [
        ["2026-10-20", "EUR", 39.95, 1, 0],
        ["2026-10-25", "EUR", 39.95, 1, 0],
        ["2026-10-28", "USD", 10, 2, 1],
        ["2026-10-28", None, None, 1, 1],
        ["2026-11-01", "EUR", 20, 1, 0],
    ],
    "New and returning users per week": [["2026-10-19", 2, 2], ["2026-10-26", 2, 3]],
    "Properties of an event": [
        ["currency", "String", 5],
        ["revenue", "String", 3],
        ["revenue", "Float64", 1],
        ["revenue", "Int64", 1],
    ],
    "Sessions": [
        ["2026-10-19", 1, 50],
        ["2026-10-20", 1, 0],
        ["2026-10-21", 1, 0],
        ["2026-10-24", 1, 0],
        ["2026-10-25", 3, 10],
        ["2026-10-27", 1, 0],
        ["2026-10-28", 3, 1.7],
        ["2026-11-01", 1, 0],
    ],
    "Time to conversion": [[3, 33.2, 168]],
    "What arrived late": [[PURCHASE, 6, 0, 91], [TRIAL, 3, 0, 1], [VIEW, 8, 1, 10_801]],
}


@pytest.fixture(scope="module")
async def team(clickhouse_url: str) -> AsyncIterator[History]:
    """The history, in a warehouse of its own."""
    name = uuid.uuid4().hex[:12]
    settings = ClickHouseSettings(clickhouse_url=SecretStr(clickhouse_url), clickhouse_database=f"w{name}")
    async with history(settings, f"t{name}") as stored:
        yield stored


def primary_key(team: History, condition: str) -> tuple[list[str], int, int]:
    """How a query with this condition uses the primary key: columns, granules it might read, and granules it reads."""
    (row,) = team.answer(f"EXPLAIN json = 1, indexes = 1 SELECT count() FROM demo.events WHERE {condition}")
    (index,) = found_indexes(json.loads(str(row[0])), "PrimaryKey")
    return index["Keys"], index["Initial Granules"], index["Selected Granules"]


def found_indexes(plan: Any, kind: str) -> Iterator[dict[str, Any]]:
    """All uses of an index of this kind, anywhere in a plan."""
    if isinstance(plan, list):
        for each in plan:
            yield from found_indexes(each, kind)
    elif isinstance(plan, dict):
        if plan.get("Type") == kind:
            yield plan
        yield from found_indexes(list(plan.values()), kind)


@pytest.mark.parametrize("title", ANSWERS)
def test_query_when_its_answer_is_known(team: History, title: str) -> None:
    """Each event counts once, on its local day, also at midnight and on a day of 25 hours."""
    assert team.answer(QUERIES[title]) == ANSWERS[title]


def test_properties_when_types_differ(team: History) -> None:
    """Typed access takes one type; amounts come out alike from numbers and strings, and as null from anything else."""
    assert team.answer(docs.block(PAGE, "sql", "only_floats")) == [
        [39.95, "Float64", 39.95, 39.95, 39.95],
        ["39.95", "String", None, 39.95, 39.95],
        [None, "None", None, None, None],
        ["1,000.50", "String", None, None, None],
        [10, "Int64", None, 10, 10],
        ["20", "String", None, 20, 20],
        [1000, "Int64", None, 1000, 1000],
    ]


def test_hours_when_summer_time_ends(team: History) -> None:
    """The 25th has 25 hours: what happened at 02:30 and again at 02:30 is an hour apart, in one day."""
    local = "toTimeZone(occurred_at, 'Europe/Berlin')"
    rows = team.answer(
        f"SELECT toString({local}), toStartOfHour({local}), toUnixTimestamp(toStartOfHour({local})) "
        "FROM demo.events WHERE user_id = 'ben' AND toHour(occurred_at) IN (0, 1) ORDER BY occurred_at"
    )

    assert [row[0] for row in rows] == ["2026-10-25 02:30:00.000000"] * 2
    assert [row[1] for row in rows] == ["2026-10-25 02:00:00"] * 2
    assert int(str(rows[1][2])) - int(str(rows[0][2])) == 3600


@pytest.mark.parametrize(
    ("condition", "columns"),
    [
        (f"event = '{VIEW}' AND {RANGE}", ["team", "event", "toDate(occurred_at)"]),
        (f"event IN ('{VIEW}', '{TRIAL}')", ["team", "event"]),
        (RANGE, ["team", "toDate(occurred_at)"]),
        ("toDate(occurred_at, 'Europe/Berlin') = '2026-10-20'", ["team"]),
        (f"lower(event) = '{VIEW.lower()}'", ["team"]),
        ("event LIKE '%Page'", ["team"]),
    ],
)
def test_index_when_condition_reaches_it(team: History, condition: str, columns: list[str]) -> None:
    """Through the view, a query uses those columns of the primary key that the page says."""
    assert primary_key(team, condition)[0] == columns


def test_index_when_event_and_range_are_named(team: History) -> None:
    """Through the view, what is of another team, another event or another day is not read."""
    _, of_range, of_team = primary_key(team, RANGE)
    _, _, of_event = primary_key(team, f"event = '{VIEW}' AND {RANGE}")
    _, _, of_day = primary_key(team, f"event = '{PURCHASE}' AND {RANGE.replace('19 00', '27 00')}")

    # The granules are those of October's events, of November's, of those sent again, and of the other team's.
    assert (of_range, of_team, of_event, of_day) == (4, 3, 1, 2)


def test_shell_example_when_run(stack: Stack) -> None:
    """The first example prints a table."""
    assert "event" in docs.run(["sh", "-euc", docs.block(PAGE, "sh", "GROUP BY event")], stack)


def test_every_block_when_read() -> None:
    """No code block of the page is left untried."""
    assert set(QUERIES) == set(ANSWERS)
    assert [block.language for block in docs.blocks(PAGE)] == ["sh", "sql", "sh", *["sql"] * len(ANSWERS)]
