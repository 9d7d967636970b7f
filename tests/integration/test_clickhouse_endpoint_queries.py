"""Queries beside each other: sessions, limits, cancelling."""

import contextlib
import functools
import threading
import time
import uuid
from collections.abc import Iterator

import pytest
import requests

from deploy.local.clickhouse.users import Role
from tests.clickhouse_service import ENDLESS, ClickHouseService, running_clickhouse
from tests.services import wait_until


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseService]:
    """One endpoint for this file, with few places so that they run out."""
    folder = tmp_path_factory.mktemp("clickhouse")
    with running_clickhouse(folder, max_running="4", max_waiting="2", max_sessions="2") as service:
        yield service


def in_background(
    clickhouse: ClickHouseService, sql: str, url: dict[str, str]
) -> tuple[threading.Thread, list[requests.Response]]:
    """Send a query and do not wait; the list gets its answer."""
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(clickhouse.post(sql, url)))
    thread.start()
    return thread, answers


def runs(clickhouse: ClickHouseService, query_id: str) -> bool:
    """Whether ClickHouse runs the query of this client's id."""
    sql = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = {id:String}"
    return clickhouse.value(sql, {"param_id": query_id}) != "0"


def test_session_when_requests_share_it(clickhouse: ClickHouseService) -> None:
    """Temporary tables and SET live in it, the URL's settings only in their request; others see nothing of it."""
    session = {"session_id": uuid.uuid4().hex, "session_timeout": "60"}
    clickhouse.value("CREATE TEMPORARY TABLE t AS SELECT 41 AS a", session)
    clickhouse.value("SET max_threads = 3", session)
    clickhouse.value("SELECT 1", {**session, "max_threads": "5", "max_block_size": "9", "database": "system"})

    seen = clickhouse.value(
        "SELECT a, getSetting('max_threads'), getSetting('max_block_size'), currentDatabase() FROM t", session
    )
    stranger = clickhouse.code("SELECT a FROM t", {"session_id": "other", "close_session": "1"})
    clickhouse.value("SELECT 1", {**session, "close_session": "1"})
    missing = clickhouse.code("SELECT 1", {**session, "session_check": "1"})

    assert seen == "41\t3\t65409\tdefault"
    assert (stranger, missing) == (60, 372)


def test_session_when_its_time_is_over(clickhouse: ClickHouseService) -> None:
    """It gives its place back by itself; until then no more than the limit are open."""
    for name in ("first", "second"):
        clickhouse.value("SELECT 1", {"session_id": name, "session_timeout": "1"})
    full = clickhouse.code("SELECT 1", {"session_id": "third"})
    third = {"session_id": "third", "close_session": "1"}
    wait_until(lambda: clickhouse.code("SELECT 1", third) is None, "a place for the third")

    assert full == 202


def test_query_when_its_id_or_its_session_is_busy(clickhouse: ClickHouseService) -> None:
    """A second request in the session is 373, one of the same id 216; KILL QUERY finds the query by that id."""
    thread, answers = in_background(
        clickhouse, ENDLESS, {"session_id": "busy", "session_timeout": "1", "query_id": "busy-1"}
    )
    wait_until(lambda: runs(clickhouse, "busy-1"), "the query runs")
    codes = [clickhouse.code("SELECT 1", url) for url in ({"session_id": "busy"}, {"query_id": "busy-1"})]
    clickhouse.value("KILL QUERY WHERE query_id = 'busy-1'")
    thread.join(20)

    assert codes == [373, 216]
    assert answers[0].headers["X-ClickHouse-Exception-Code"] == "394"


def test_time_limit_when_a_query_exceeds_it(clickhouse: ClickHouseService) -> None:
    """max_execution_time ends it with 408 and number 159."""
    started = time.monotonic()
    answer = clickhouse.post(ENDLESS, {"max_execution_time": "1"})

    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (408, "159")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("sql", [ENDLESS, "SELECT number, repeat('x', 1000) FROM numbers(1000000000)"])
def test_query_when_its_client_leaves(clickhouse: ClickHouseService, sql: str) -> None:
    """It is cancelled, before its first row and in the middle of its result."""
    query_id = uuid.uuid4().hex
    auth = ("sink", clickhouse.users.password(Role.SINK))
    ask = functools.partial(requests.post, params={"query_id": query_id}, data=sql, auth=auth, stream=True, timeout=1)
    with contextlib.suppress(requests.exceptions.ReadTimeout), ask(clickhouse.address) as answer:
        assert next(answer.iter_content(1))

    wait_until(lambda: not runs(clickhouse, query_id), "the query is gone")


def test_queries_when_places_run_out(clickhouse: ClickHouseService) -> None:
    """Of ten at once four run, two wait and get their turn, and four are refused with number 202."""
    queries = [in_background(clickhouse, "SELECT sleep(2)", {}) for _ in range(10)]
    for thread, _ in queries:
        thread.join(30)
    found = [answers[0] for _, answers in queries]

    assert [answer.text for answer in found].count("0\n") == 6
    assert [answer.headers.get("X-ClickHouse-Exception-Code") for answer in found].count("202") == 4
