"""What is left after the process dies, and how it stops."""

import signal
import threading
import time
from pathlib import Path

import requests

from deploy.local.clickhouse.users import Role
from tests.clickhouse_service import ENDLESS, ClickHouseService, running_clickhouse
from tests.services import wait_until

TABLE = (
    "CREATE TABLE IF NOT EXISTS kept (a UInt64) ENGINE = MergeTree ORDER BY a "
    "SETTINGS non_replicated_deduplication_window = 1000"
)


def insert(clickhouse: ClickHouseService, number: int) -> bool:
    """Insert one batch of a thousand rows under its own token; whether it was acknowledged."""
    rows = "".join(f"{number * 1000 + row}\n" for row in range(1000)).encode()
    try:
        answer = clickhouse.post(
            "INSERT INTO kept FORMAT CSV",
            {"insert_deduplication_token": f"batch-{number}", "async_insert": "0"},
            data=rows,
        )
    except requests.exceptions.ConnectionError:
        return False
    return answer.status_code == 200


def test_inserts_when_the_process_is_killed(tmp_path: Path) -> None:
    """Every acknowledged insert is there afterwards, a repeat under its token is dropped, no file is left over."""
    acknowledged: list[int] = []
    spool = tmp_path / "spool"
    with running_clickhouse(tmp_path / "data", spool_dir=str(spool)) as clickhouse:
        clickhouse.value(TABLE)

        def feed() -> None:
            for number in range(10_000):
                if not insert(clickhouse, number):
                    return
                acknowledged.append(number)

        feeder = threading.Thread(target=feed)
        feeder.start()
        wait_until(lambda: len(acknowledged) >= 20, "twenty inserts")
        clickhouse.running.kill()
        feeder.join(20)
    with running_clickhouse(tmp_path / "data", port=clickhouse.port, spool_dir=str(spool)) as again:
        left_over = [path for path in spool.rglob("*") if path.is_file()]
        found = set(map(int, again.value("SELECT DISTINCT intDiv(a, 1000) FROM kept").split()))
        rows = int(again.value("SELECT count() FROM kept"))
        repeated = all(insert(again, number) for number in acknowledged[-5:])
        rows_after = int(again.value("SELECT count() FROM kept"))

    assert set(acknowledged) <= found <= {*acknowledged, acknowledged[-1] + 1}
    assert rows == 1000 * len(found)
    assert (repeated, rows_after) == (True, rows)
    assert left_over == []


def test_stop_when_queries_run(tmp_path: Path) -> None:
    """On SIGTERM a short query still answers, an endless one is cut, and the process ends with 0 within ten seconds."""
    answers: list[str] = []
    with running_clickhouse(tmp_path, stop_seconds="5") as clickhouse:

        def ask(sql: str) -> None:
            try:
                answers.append(clickhouse.post(sql).text)
            except requests.exceptions.ConnectionError:
                answers.append("cut")

        threads = [threading.Thread(target=ask, args=[sql]) for sql in ("SELECT sleep(3)", ENDLESS)]
        for thread in threads:
            thread.start()
        wait_until(lambda: clickhouse.value("SELECT count() FROM system.processes") == "3", "both run")
        started = time.monotonic()
        clickhouse.running.send_signal(signal.SIGTERM)
        code = clickhouse.running.wait(15)
        took = time.monotonic() - started
        for thread in threads:
            thread.join(10)

    assert (code, took < 10) == (0, True)
    assert "0\n" in answers


def test_start_when_another_process_owns_the_data(tmp_path: Path) -> None:
    """The second one ends at once with 1 and says why; the first goes on."""
    with running_clickhouse(tmp_path) as clickhouse:
        try:
            with running_clickhouse(tmp_path):
                raise AssertionError("a second process opened the same folder")
        except RuntimeError as error:
            said = str(error)
        assert clickhouse.value("SELECT 1", role=Role.ANALYST) == "1"

    assert "cannot start" in said
