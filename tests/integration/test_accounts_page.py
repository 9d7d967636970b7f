"""The examples of docs/accounts.md, run as they stand."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from ingress.accounts.database import Database
from ingress.accounts.people import People
from ingress.accounts.store import Accounts
from ingress.accounts.tokens import is_well_formed
from schemas.errors import Unavailable
from schemas.settings import KafkaSettings
from tests import docs
from tests.accounts import ACTOR, NOW, open_stores
from tests.ingress import make_accounts, running_ingress
from tests.postgres_service import database_of_its_own
from tests.services import wait_until

PAGE = "docs/accounts.md"


class Shell:
    """Runs blocks of the page, with an accounts database and what else the reader has in the shell."""

    def __init__(self, folder: Path) -> None:
        self.env = {**os.environ, "EVENTS_DATA_DIR": str(folder)}
        self.env.pop("ACCOUNTS_URL", None)
        self.folder = folder

    def run(self, script: str, **env: str) -> str:
        """What the script prints on standard output."""
        done = subprocess.run(
            ["sh", "-euc", script], cwd=docs.ROOT, env=self.env | env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def block(self, containing: str, **env: str) -> str:
        """What the page's block with these words prints."""
        return self.run(docs.block(PAGE, "sh", containing), **env)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell with the team of the page, after its commands."""
    opened = Shell(tmp_path)
    opened.block("events team create")
    return opened


def test_team_when_made_as_the_page_says(shell: Shell) -> None:
    """The team was made without access, somebody was invited, and it was enabled."""
    log = json.loads(shell.run(".venv/bin/events team log globex --json"))

    assert [row["action"] for row in log] == ["team_enabled", "invite_created", "team_created"]


def test_token_when_rotated_as_the_page_says(shell: Shell) -> None:
    """The token has its scope and its end, and its successor is printed."""
    secret = shell.block("events token create").splitlines()[0]
    assert is_well_formed(secret)
    (token,) = json.loads(shell.run(".venv/bin/events token list globex --json"))
    assert (token["events"], token["name"]) == ("Purchased an Item", "checkout")

    successor = shell.block("events token rotate", TOKEN_ID=token["id"]).strip()

    assert is_well_formed(successor)
    assert successor != secret


async def test_token_when_revoked_as_the_page_says(kafka: KafkaSettings, tmp_path: Path) -> None:
    """The finder's request makes the token worthless."""
    url, token = await make_accounts(tmp_path)
    with running_ingress(kafka, url, tmp_path) as ingress:
        script = Shell(tmp_path).block
        printed = await asyncio.to_thread(
            script, "/v1/token/revoke", EVENTS_API_URL=ingress.base_url, LEAKED_TOKEN=token
        )

        assert json.loads(printed) == {"success": True}
        wait_until(lambda: ingress.post(token).status_code == 401, "the token is worthless", 2)


def test_database_when_it_is_postgresql(accounts_url: str, tmp_path: Path) -> None:
    """The page's command makes the tables of the database that it names."""
    script = docs.block(PAGE, "sh", "export ACCOUNTS_URL")
    theirs = "postgresql://events:secret@db.example/events"
    assert theirs in script

    assert Shell(tmp_path).run(script.replace(theirs, accounts_url)) == ""


async def test_rights_when_granted_as_the_page_says(postgres_url: str) -> None:
    """With the page's rights the ingress does what it has to, and can make nobody an Owner."""
    role = f"ingress_{uuid.uuid4().hex[:8]}"
    async with database_of_its_own(postgres_url) as url, open_stores(url) as stores:
        await stores.accounts.create_team("acme", NOW, ACTOR)
        secret, token = await stores.accounts.create_token("acme", "", NOW, ACTOR, event_names=["Paid"])
        grants = docs.block(PAGE, "sql", "GRANT").replace("TO ingress", f"TO {role}").split(";")
        async with Database(url) as database, database.writing() as session:
            for statement in (f"CREATE ROLE {role} LOGIN PASSWORD 'x'", *filter(str.strip, grants)):
                await session.execute(text(statement))
        own = make_url(url).set(username=role, password="x").render_as_string(hide_password=False)

        async with Database(own, create=False) as database:
            accounts = Accounts(database)
            assert len(await accounts.live_tokens()) == 1
            await accounts.touch_tokens({token.id: NOW})
            assert (await accounts.revoke_secret(secret, NOW, ACTOR)).revoked_at == NOW
            with pytest.raises(Unavailable, match="permission denied"):
                await People(database).users()
            with pytest.raises(Unavailable, match="permission denied"):
                await accounts.create_team("other", NOW, ACTOR)
        async with Database(url) as database, database.writing() as session:
            await session.execute(text(f"DROP OWNED BY {role}"))
            await session.execute(text(f"DROP ROLE {role}"))


def test_backup_when_made_as_the_page_says(shell: Shell) -> None:
    """The copy is whole, made while somebody writes."""
    script = docs.block(PAGE, "sh", "VACUUM INTO").replace("accounts-backup.db", str(shell.folder / "copy.db"))
    with closing(sqlite3.connect(shell.folder / "accounts.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE teams SET enabled = 0")
        shell.run(script.replace(".venv/bin/python", sys.executable))

    with closing(sqlite3.connect(shell.folder / "copy.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT slug, enabled FROM teams").fetchall() == [("globex", 1)]


def test_every_block_when_read() -> None:
    """No code block of the page is left untried."""
    tried = [
        "team create",
        "token create",
        "token rotate",
        "token/revoke",
        "export ACCOUNTS_URL",
        "VACUUM INTO",
        "GRANT",
    ]

    assert [text for _, text in docs.blocks(PAGE) if not any(words in text for words in tried)] == []
