"""`events schema infer` and `check` as docs/schemas.md has them, with an analyst's user, on events in ClickHouse."""

import json
import os
import re
import subprocess
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.local.clickhouse.users import Role
from ingress.accounts.database import Database
from ingress.registry.levels import Level
from ingress.registry.refusals import Refused
from ingress.registry.store import SchemaStore
from schemas import ddl
from schemas.registered import Subject
from schemas.settings import ClickHouseSettings
from sink.tables import Tables
from sink.writer import Writer
from tests import docs
from tests.accounts import ACTOR, NOW, open_stores
from tests.clickhouse_service import running_clickhouse
from tests.services import free_port
from tests.sink import envelope, store
from tests.stack import EVENTS

PAGE = "docs/schemas.md"
ORDERS = [
    {"order_id": "o-1", "revenue": "39.95", "paid_at": "2026-11-24T10:00:00.5Z", "items": 2},
    {"order_id": "o-2", "revenue": 5.5, "paid_at": "2026-11-24T11:00:00+01:00"},
    {"order_id": "o-3", "revenue": 7, "paid_at": "2026-11-24T12:00:00Z"},
    {"order_id": "o-4", "revenue": "1.00"},
]
NOT_EVERY = {"type": "record", "name": "Order", "fields": [
    {"name": "revenue", "type": "int"}, {"name": "paid_at", "type": "string"}]}  # fmt: skip
REVENUE = {"name": "revenue", "type": "double"}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}


def within(*names: str) -> dict[str, object]:
    """A field with a record of longs that all have a default."""
    fields = [{"name": name, "type": "long", "default": 0} for name in names]
    return {"name": "at", "type": {"type": "record", "name": "Place", "fields": fields}, "default": {}}


INNER = within("a")


@dataclass(frozen=True)
class Shell:
    """A folder, and a way into the warehouse."""

    folder: Path
    env: dict[str, str]

    def run(self, script: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run lines of a shell in which `events` is the command."""
        return subprocess.run(
            ["sh", "-euc", script],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{EVENTS.parent}:{os.environ['PATH']}"} | self.env | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def write(self, name: str, schema: object) -> None:
        """Put a schema into the folder."""
        (self.folder / name).write_text(json.dumps(schema), "utf-8")


@pytest.fixture(scope="module")
async def shell(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shell]:
    """An analyst's, where the team `demo` has the events of the page."""
    with running_clickhouse(tmp_path_factory.mktemp("clickhouse")) as service:
        async with Writer(ClickHouseSettings(clickhouse_url=SecretStr(service.url(Role.SINK))), 30) as writer:
            await Tables(writer, "warehouse").ensure()
            for statement in ddl.team_statements("demo", "warehouse"):
                await writer.execute(statement)
            values = [
                envelope(0, at, "demo", event="Order Completed", properties_json=json.dumps(order), received_at=-at)
                for at, order in enumerate(ORDERS)
            ]
            others = envelope(0, 9, "other", event="Order Completed")
            await store(writer, [*values, others], "orders", "warehouse")
        folder = tmp_path_factory.mktemp("shell")
        accounts = f"sqlite:///{folder / 'accounts.db'}"
        async with open_stores(accounts) as stores:
            await stores.accounts.create_team("demo", NOW, ACTOR)
        yield Shell(folder, {"CLICKHOUSE_URL": service.url(Role.ANALYST), "ACCOUNTS_URL": accounts})


def lines(text: str) -> list[str]:
    """A table without the width of its columns."""
    return [re.sub(r" +", " ", line).strip() for line in text.strip().splitlines()]


def test_page_when_its_examples_are_run(shell: Shell) -> None:
    """Each command prints what the page shows, and what `infer` proposes `check` takes."""
    infer, check = (block.text for block in docs.blocks(PAGE) if block.language == "sh")
    proposed, columns = (block.text for block in docs.blocks(PAGE) if block.language == "text")

    inferred = shell.run(infer)
    checked = shell.run(check)

    assert (inferred.returncode, checked.returncode) == (0, 0), inferred.stderr + checked.stderr
    assert sorted(lines(inferred.stderr)) == sorted(lines(proposed))
    assert sorted(lines(checked.stdout)) == sorted(lines(columns))
    assert sorted(lines(checked.stderr)) == sorted(lines(proposed))


def test_check_when_events_do_not_fit(shell: Shell) -> None:
    """It says what does not fit, and how many events would be dead letters, without seeing another team's."""
    shell.write("not_every.avsc", NOT_EVERY)

    done = shell.run('events schema check not_every.avsc --team demo --event "Order Completed" --json')

    assert done.returncode == 0, done.stderr
    revenue, paid_at = json.loads(done.stdout)["fields"]
    assert (revenue["present"], revenue["misfits"]) == (4, 2)
    assert set(revenue["examples"]) == {'"39.95" is no whole number', "5.5 is no whole number"}
    assert (paid_at["present"], paid_at["missing"]) == (3, 1)


def test_check_when_a_change_is_not_compatible(shell: Shell) -> None:
    """It says in words why, with which version, and ends with 1."""
    shell.write("new.avsc", NOT_EVERY | {"fields": NOT_EVERY["fields"][:1]})
    shell.write("v1.avsc", NOT_EVERY)

    done = shell.run("events schema check new.avsc --against v1.avsc")

    assert done.returncode == 1
    assert "Not compatible: `paid_at` was removed and has no default" in done.stderr
    assert "(v1.avsc)" in done.stderr
    assert lines(done.stdout) == ["column type", "revenue Nullable(Int64)"]


@pytest.mark.parametrize(
    ("level", "fields", "major", "said"),
    [
        (Level.FULL_TRANSITIVE, [REVENUE, INNER, NOTE], 1, ""),
        (Level.FULL_TRANSITIVE, [REVENUE, INNER], 1, "It is registered: version 2 of demo.Signed Up"),
        (Level.FULL_TRANSITIVE, [REVENUE, within("a", "b")], 1, "Not compatible: `at` would need a column"),
        (Level.NONE, [REVENUE, within("a", "b")], 1, "Not compatible: `at` would need a column"),
        (Level.FULL_TRANSITIVE, [INNER], 1, "Not compatible: `revenue` was removed and has no default"),
        (Level.BACKWARD, [INNER], 1, ""),
        (Level.FULL_TRANSITIVE, [REVENUE, {"name": "order_id", "type": "long", "default": 0}], 1, "is claimed by"),
        (Level.FULL_TRANSITIVE, [NOTE], 2, ""),
        (Level.FULL_TRANSITIVE, [NOTE], 3, "comes after 'demo.Signed Up@2', which has no version yet"),
        (Level.FULL_TRANSITIVE, [REVENUE, {"name": "at", "type": "double", "default": 2**60}], 1, "beyond 2^53"),
    ],
)
async def test_check_when_something_is_registered(
    shell: Shell, level: Level, fields: list[object], major: int, said: str
) -> None:
    """It says what the registry does: of all versions, deleted ones too, by the subject's level."""
    env = {"ACCOUNTS_URL": f"sqlite:///{shell.folder / uuid.uuid4().hex}.db"}
    subject, schema = Subject("demo", "Signed Up"), {"type": "record", "name": "Order", "fields": fields}
    shell.write("new.avsc", schema)
    async with open_stores(env["ACCOUNTS_URL"]) as stores, Database(env["ACCOUNTS_URL"]) as database:
        await stores.accounts.create_team("demo", NOW, ACTOR)
        store = SchemaStore(database)
        for each in ([REVENUE, INNER, {"name": "orderID", "type": "long", "default": 0}], [REVENUE, INNER]):
            text = json.dumps({"type": "record", "name": "Order", "fields": each})
            await store.register(subject, text, NOW, ACTOR)
        await store.delete(subject, "1", NOW, ACTOR, permanent=False)
        await store.change_rules(subject, {"compatibility": level}, NOW, ACTOR)

        done = shell.run(f'events schema check new.avsc --team demo --event "Signed Up" --major {major}', **env)

        try:
            await store.register(Subject("demo", "Signed Up", major), json.dumps(schema), NOW, ACTOR)
            taken = True
        except Refused:
            taken = False
    assert said in done.stderr
    assert (done.returncode == 0) == taken, done.stderr


@pytest.mark.parametrize(
    ("command", "env", "exit_code", "said"),
    [
        ("infer demo Nobodys", {}, 4, "demo has no events named 'Nobodys'"),
        ("infer nobody 'Order Completed'", {}, 4, "nobody has no events"),
        ("infer 'demo; DROP' x", {}, 2, "beginning with a letter"),
        ('infer demo "a\' OR 1=1 --"', {}, 4, "has no events named"),
        ("infer demo x", {"CLICKHOUSE_URL": f"http://127.0.0.1:{free_port()}"}, 5, "does not answer"),
        ("infer demo x", {"CLICKHOUSE_URL": "nowhere"}, 2, "CLICKHOUSE_URL"),
        ("check v0.avsc", {}, 2, "v0.avsc"),
        ("check bad.avsc", {}, 1, 'bad.avsc: `x` is a union of ["int", "string"]'),
        ("check default.avsc", {}, 1, "the default lies outside 1900 to 2299"),
        ("check bad.avsc --team demo", {}, 2, "--event"),
        ("check v1.avsc --team nobody --event x", {}, 4, "nobody"),
        ("check v1.avsc --team demo --event x", {"CLICKHOUSE_URL": f"http://127.0.0.1:{free_port()}"}, 5, "ClickHouse"),
    ],
)
def test_exit_code_when_it_cannot_be_done(
    shell: Shell, command: str, env: dict[str, str], exit_code: int, said: str
) -> None:
    """Each reason has its own exit code, and words on standard error."""
    date = {"type": "int", "logicalType": "date"}
    shell.write("bad.avsc", {"type": "record", "name": "B", "fields": [{"name": "x", "type": ["int", "string"]}]})
    shell.write("v1.avsc", NOT_EVERY)
    shell.write(
        "default.avsc", {"type": "record", "name": "D", "fields": [{"name": "x", "type": date, "default": -99_999}]}
    )

    done = shell.run(f"events schema {command}", **env)

    assert done.returncode == exit_code, done.stderr
    assert said in re.sub(r"[│\s]+", " ", done.stderr)
    assert done.stdout == ""
