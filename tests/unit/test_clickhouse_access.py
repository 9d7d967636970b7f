"""Who may ask what: passwords, sessions, and what no grant inside ClickHouse can refuse."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local.clickhouse.engine import Link
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.guard import check
from deploy.local.clickhouse.protocol import SessionRequest
from deploy.local.clickhouse.sessions import Sessions
from deploy.local.clickhouse.statement import parse
from deploy.local.clickhouse.users import Role, UsersFileError, ensure_users


def refusal(sql: str, role: Role = Role.ANALYST, *, readonly: bool = False, **parameters: str) -> int | None:
    """The number of the error that a statement gets, None for none."""
    try:
        check(parse(sql.encode()), role, parameters, readonly=readonly)
    except ClickHouseError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT file('/etc/passwd')",
        "SELECT `file`('/etc/passwd')",
        "SELECT `\\x66ile`('/etc/passwd')",
        "SELECT \"fil\\x65\" /* c */ ('/etc/passwd')",
        "SELECT arrayMap(file, ['/etc/passwd'])",
        "SELECT * APPLY file FROM (SELECT '/etc/passwd')",
        "SELECT 1 AS file, file('/etc/passwd')",
        "SELECT * FROM Python(x)",
        "SELECT * FROM arrowstream('1')",
        "EXPLAIN SELECT file('/etc/passwd')",
    ],
)
def test_analyst_when_a_function_reads_outside_of_the_tables(sql: str) -> None:
    """It is refused however its name is written."""
    assert refusal(sql) == 497


def test_analyst_when_a_parameter_names_a_function() -> None:
    """An Identifier parameter is no way around."""
    assert refusal("SELECT arrayMap({f:Identifier}, ['/etc/passwd'])", f="`file`") == 497
    assert refusal("SELECT {f:Identifier}", f="name") is None


@pytest.mark.parametrize("sql", ["SELECT t.file FROM t", "SELECT 'file(1)'", "SELECT 1 -- file(", "SELECT profile(1)"])
def test_analyst_when_a_name_only_looks_like_one(sql: str) -> None:
    """A qualified column, a string and a comment are no function."""
    assert refusal(sql) is None


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT 1 into/**/outfile\u00a0'/tmp/x'",
        "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        "INSERT INTO t FROM -- c\n INFILE $$/etc/passwd$$ FORMAT CSV",
    ],
)
def test_statement_when_it_names_a_file(role: Role, sql: str) -> None:
    """Files are this process's: nobody reads or writes them over HTTP."""
    assert refusal(sql, role) is not None


@pytest.mark.parametrize("role", Role)
def test_statement_when_it_changes_the_role(role: Role) -> None:
    """The role is the user's; no statement takes another."""
    assert [refusal(sql, role) for sql in ("SET ROLE sink", "set /**/ role ALL", "SET DEFAULT ROLE x TO y")] == [
        512
    ] * 3


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "DROP TABLE t",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "SYSTEM SHUTDOWN",
        "(",
    ],
)
def test_write_when_it_comes_by_get_or_from_an_analyst(sql: str) -> None:
    """It is refused as READONLY; the sink may, by POST."""
    assert refusal(sql) == 164
    assert refusal(sql, Role.SINK, readonly=True) == 164
    assert refusal(sql, Role.SINK) is None


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "SHOW TABLES", "(SELECT 1)", "SET max_threads = 1", "CREATE TEMPORARY TABLE t AS SELECT 1"]
)
def test_analyst_when_nothing_is_written(sql: str) -> None:
    """Reading, settings and temporary tables are an analyst's work."""
    assert refusal(sql) is None


def test_users_when_two_processes_start_at_once(tmp_path: Path) -> None:
    """One file wins, only its owner can read it, and both know the same passwords."""
    path = tmp_path / "new" / "users.json"
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ensure_users, [path] * 8))

    assert all(users == found[0] for users in found)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["users.json"]


def test_users_when_name_or_password_is_wrong(tmp_path: Path) -> None:
    """The right pair gives the role; everything else, an empty password too, the same refusal."""
    users = ensure_users(tmp_path / "users.json")

    assert users.authenticate("sink", users.password(Role.SINK)) is Role.SINK
    for name, password in [("sink", ""), ("sink", users.password(Role.ANALYST)), ("default", ""), ("é", "é")]:
        with pytest.raises(ClickHouseError) as refused:
            users.authenticate(name, password)
        assert refused.value.code == 516
    assert users.password(Role.SINK) not in repr(users)


def test_users_when_the_file_is_broken(tmp_path: Path) -> None:
    """It is not overwritten: the message says what to do."""
    path = tmp_path / "users.json"
    path.write_text('{"analyst": ""}')

    with pytest.raises(UsersFileError, match="delete it"):
        ensure_users(path)


def test_session_when_it_is_used_twice_missing_or_over() -> None:
    """A second request is 373, a missing one 372, and an expired one is gone."""
    now = 0.0
    sessions = Sessions(limit=2, clock=lambda: now)
    request = SessionRequest("s", 60, must_exist=False, closes=False)
    link = Link.__new__(Link)

    held = sessions.acquire(Role.SINK, request)
    held.link = link
    codes = [
        _code(sessions, Role.SINK, request),
        _code(sessions, Role.ANALYST, SessionRequest("s", 1, must_exist=True, closes=False)),
    ]
    sessions.release(held, request)
    now = 60.0

    assert codes == [373, 372]
    assert sessions.take_expired() == [link]
    assert _code(sessions, Role.SINK, SessionRequest("s", 60, must_exist=True, closes=False)) == 372


def _code(sessions: Sessions, role: Role, request: SessionRequest) -> int:
    with pytest.raises(ClickHouseError) as refused:
        sessions.acquire(role, request)
    return refused.value.code
