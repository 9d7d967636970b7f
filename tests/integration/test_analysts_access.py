"""`events team grants`: what a team's analysts get at on a server with access control, as far as chdb can tell."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from deploy.commands import team
from deploy.commands.accounts import Exit
from schemas.ddl import analyst_statements, team_statements, warehouse_statements
from tests import docs
from tests.reader import answers
from tests.stack import EVENTS

STATEMENTS = analyst_statements("globex", "00" * 32)
(GRANT,) = [each.removesuffix(" TO globex_reader") for each in STATEMENTS if each.startswith("GRANT SELECT")]
ROWS = (
    "INSERT INTO warehouse.events (event_id, team, event, kind, user_id, anonymous_id, occurred_at, received_at, "
    "properties_json, _raw_partition, _raw_offset) SELECT generateUUIDv4(), team, 'E', 'event', "
    "if(team = 'acme', 'SECRET', 'greg'), '', now(), now(), '{}', 0, number "
    "FROM numbers(10) ARRAY JOIN ['acme', 'globex'] AS team"
)
WAREHOUSE = [
    *warehouse_statements("warehouse"),
    *team_statements("acme", "warehouse"),
    *team_statements("globex", "warehouse"),
    ROWS,
]
NOT_STORED = {"514", "511"}  # no storage that can be written; no such role, as none was stored
PROBES = ["toUInt64(user_id) = 1", "throwIf(user_id != 'greg')", "user_id LIKE 'SEC%' AND throwIf(1)"]
PLANS = [
    "short_circuit_function_evaluation = 'enable'",
    "short_circuit_function_evaluation = 'disable'",
    "short_circuit_function_evaluation = 'disable', optimize_move_to_prewhere_if_final = 1",
    "short_circuit_function_evaluation = 'disable', query_plan_enable_optimizations = 0",
    "short_circuit_function_evaluation = 'disable', query_plan_split_filter = 0, query_plan_merge_filters = 1",
]


@pytest.fixture
def accounts(tmp_path: Path) -> dict[str, str]:
    """The environment of an accounts database with a team."""
    env = {"ACCOUNTS_URL": f"sqlite:///{tmp_path / 'accounts.db'}"}
    assert CliRunner().invoke(team.app, ["create", "acme"], env=env).exit_code == 0
    return env


def grants(env: dict[str, str], *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(team.app, ["grants", *arguments], env=env)


def code(answer: str) -> str:
    """The number of an error; empty where there was none."""
    found = re.match(r"Code: (\d+)", answer)
    return found[1] if found else ""


def test_statements_when_executed() -> None:
    """The engine takes all of each statement and lacks only a place to store it; a slip would be told first."""
    slips = [
        STATEMENTS[2].replace("max_result_rows", "max_result_row"),
        STATEMENTS[3].replace("result_rows", "resulting_rows"),
        STATEMENTS[4].replace("00", "0", 1),
    ]

    taken, _ = answers(GRANT, [*STATEMENTS, *slips], [])

    assert len(STATEMENTS) == 6
    assert {code(answer) for answer in taken[:6]} <= NOT_STORED
    assert not {code(answer) for answer in taken[6:]} & {*NOT_STORED, ""}


def test_reader_when_reading() -> None:
    """The role reads its own team's events, and is refused everything else."""
    refused = [
        "SELECT count() FROM warehouse.events",
        "SELECT count() FROM acme.events",
        "INSERT INTO globex.events (event) VALUES ('x')",
        "CREATE OR REPLACE VIEW globex.events AS SELECT 1",
        "DROP TABLE globex.events",
        "SELECT * FROM url('http://127.0.0.1:1', 'CSV')",
    ]

    made, found = answers(GRANT, WAREHOUSE, ["SELECT count() FROM globex.events", "SHOW DATABASES", *refused])

    assert {code(answer) for answer in made} == {""}
    assert found[:2] == ["10", "globex"]
    assert {code(answer) for answer in found[2:]} == {"497"}


def test_reader_when_probing() -> None:
    """No condition of the role's sees another team's row, however it has the query planned: an error would tell."""
    probes = [f"SELECT count() FROM globex.events WHERE {probe} SETTINGS {plan}" for probe in PROBES for plan in PLANS]
    all_rows = f"SELECT count() FROM warehouse.events WHERE {PROBES[1]}"

    made, found = answers(GRANT, [*WAREHOUSE, all_rows], probes)

    assert code(made[-1]) == "395"
    for answer in found:
        assert answer == "0" or "'greg' as UInt64" in answer


def test_command_when_team_exists(accounts: dict[str, str]) -> None:
    """A statement a line on standard output; the password on standard error only, each time another one."""
    first, second = grants(accounts, "acme"), grants(accounts, "acme")
    found = re.findall(r"password (\S+):", first.stderr)

    assert first.stdout.splitlines() == [
        f"{each};" for each in analyst_statements("acme", hashlib.sha256(found[0].encode()).hexdigest())
    ]
    assert found[0] not in first.stdout
    assert found != re.findall(r"password (\S+):", second.stderr)


def test_command_when_json_is_asked_for(accounts: dict[str, str]) -> None:
    """User, password and statements, as an object."""
    printed = json.loads(grants(accounts, "acme", "--json").stdout)

    assert printed["user"] == "acme_analyst"
    assert hashlib.sha256(printed["password"].encode()).hexdigest() in printed["statements"][4]


def test_command_when_there_is_no_team(accounts: dict[str, str]) -> None:
    """No statement is printed for a name that is no team."""
    assert (grants(accounts, "globex").exit_code, grants(accounts, "globex").stdout) == (Exit.NOT_FOUND, "")
    assert grants(accounts, "a; DROP").exit_code == Exit.USAGE


@contextmanager
def http_server(status: int) -> Iterator[tuple[str, list[str]]]:
    """A server that answers every request alike: its address, and the bodies that came."""
    bodies: list[str] = []

    class Recording(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Recording) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()


@pytest.mark.parametrize(("status", "sent", "exit_code"), [(200, 6, 0), (403, 1, 1)])
def test_shell_example_when_run(accounts: dict[str, str], status: int, sent: int, exit_code: int) -> None:
    """Each statement is a request of its own; the first one that is refused ends it."""
    example = docs.block("docs/analysts.md", "sh", "events team grants").replace(".venv/bin/events", str(EVENTS))

    with http_server(status) as (address, bodies):
        env = {"PATH": "/usr/bin:/bin", "CLICKHOUSE_URL": address, **accounts}
        done = subprocess.run(["sh", "-uc", example], env=env, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == exit_code
    assert [body.split()[0] for body in bodies] == ["CREATE", "GRANT", "CREATE", "CREATE", "CREATE", "GRANT"][:sent]
    assert all(body.endswith(";") for body in bodies)
