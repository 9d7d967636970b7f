"""What an analyst gets at, and what not, from the engine itself."""

import stat
from collections.abc import Iterator

import pytest

from deploy.local.clickhouse.users import Role
from tests.clickhouse_service import ClickHouseService, running_clickhouse

OUTSIDE = [
    "SELECT * FROM file('/etc/hostname', 'LineAsString')",
    "SELECT * FROM '/etc/hostname'",
    "SELECT * FROM icebergLocal('/etc')",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM sqlite('/etc/x', 'y')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "SELECT * FROM s3('https://bucket.s3.amazonaws.com/key', 'CSV', 'a Int8')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM executable('ls', 'TSV', 'a String')",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT file('/etc/hostname')",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "CREATE TEMPORARY TABLE t (a String) ENGINE = URL('http://127.0.0.1:1/', 'CSV')",
    "CREATE TEMPORARY TABLE t (a String) ENGINE = File('CSV', '/etc/hostname')",
]
LOCKED = {
    "readonly": "0",
    "profile": "default",
    "max_execution_time": "100000",
    "max_memory_usage": "0",
    "format_schema": "/etc/passwd",
    "format_template_resultset": "/etc/passwd",
    "additional_result_filter": "file('/etc/passwd') != ''",
    "filter": "1",
    "dialect": "prql",
    "allow_introspection_functions": "1",
}


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseService]:
    """One endpoint for this file, with a table."""
    with running_clickhouse(tmp_path_factory.mktemp("clickhouse")) as service:
        service.value("CREATE DATABASE demo")
        service.value("CREATE TABLE demo.events (a Int8) ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a")
        yield service


def test_analyst_when_reading(clickhouse: ClickHouseService) -> None:
    """Tables, views, SHOW, temporary tables in a session, and an own time limit below the bound."""
    assert clickhouse.value("SELECT a FROM demo.events", role=Role.ANALYST) == "1"
    assert clickhouse.value("SHOW TABLES FROM demo", role=Role.ANALYST) == "events"
    assert clickhouse.value("SELECT getSetting('max_execution_time')", role=Role.ANALYST) == "60"
    assert (
        clickhouse.value("SELECT getSetting('max_execution_time')", {"max_execution_time": "9"}, role=Role.ANALYST)
        == "9"
    )
    clickhouse.value("CREATE TEMPORARY TABLE mine AS SELECT 5 AS x", {"session_id": "s"}, role=Role.ANALYST)
    assert clickhouse.value("SELECT x FROM mine", {"session_id": "s"}, role=Role.ANALYST) == "5"


@pytest.mark.parametrize("sql", OUTSIDE)
def test_analyst_when_reading_outside_of_the_tables(clickhouse: ClickHouseService, sql: str) -> None:
    """Files, addresses and programs are refused."""
    assert clickhouse.code(sql, role=Role.ANALYST) in {1, 60, 164, 344, 497}


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO demo.events VALUES (2)",
        "DROP TABLE demo.events",
        "CREATE TABLE demo.x (a Int8) ENGINE = Memory",
        "KILL QUERY WHERE 1",
    ],
)
def test_analyst_when_writing(clickhouse: ClickHouseService, sql: str) -> None:
    """It is refused as READONLY."""
    assert clickhouse.code(sql, role=Role.ANALYST) == 164


@pytest.mark.parametrize("name", LOCKED)
def test_analyst_when_changing_what_bounds_it(clickhouse: ClickHouseService, name: str) -> None:
    """A setting that would lift a bound is refused in the URL, in the query, and in a session's SET."""
    quoted = LOCKED[name].replace("'", "\\'")
    codes = {
        clickhouse.code("SELECT 1", {name: LOCKED[name]}, role=Role.ANALYST),
        clickhouse.code(f"SET {name} = '{quoted}'", {"session_id": f"set-{name}"}, role=Role.ANALYST),
        clickhouse.code(f"SELECT 1 SETTINGS {name} = '{quoted}'", role=Role.ANALYST),
    }

    assert codes <= {164, 452, 497}


def test_sink_when_reading_files(clickhouse: ClickHouseService) -> None:
    """It writes tables, but files and addresses are not its either."""
    assert [clickhouse.code(sql) for sql in (OUTSIDE[0], OUTSIDE[1], OUTSIDE[5])] == [497, 60, 497]


def test_passwords_when_they_are_stored(clickhouse: ClickHouseService) -> None:
    """They are in one file of mode 0600, in no configuration and no log."""
    password = clickhouse.users.password(Role.SINK).encode()
    holders = [path for path in clickhouse.data_dir.rglob("*") if path.is_file() and password in path.read_bytes()]

    assert holders == [clickhouse.data_dir / "users.json"]
    assert stat.S_IMODE(holders[0].stat().st_mode) == 0o600
