"""The accounts database itself, on SQLite and PostgreSQL: migrations, transactions, and what is in its file."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from ingress.accounts import migrations
from ingress.accounts.database import Database, migrate, open_engine
from ingress.accounts.errors import AlreadyExists
from ingress.accounts.models import Base
from ingress.accounts.store import Accounts, open_accounts
from ingress.accounts.tokens import digest
from schemas.errors import Unavailable
from tests.accounts import ACTOR, NOW, open_stores


async def test_tables_when_migrated(accounts_url: str) -> None:
    """The migrations arrive at what the models say."""
    await migrate(accounts_url)

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)

    engine = open_engine(accounts_url)
    async with engine.begin() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_migration_when_several_at_once(accounts_url: str) -> None:
    """Several processes may migrate at the same time, and again; what is there stays."""
    await asyncio.gather(*(migrate(accounts_url) for _ in range(5)))
    async with open_accounts(accounts_url) as accounts:
        await accounts.create_team("acme", NOW, ACTOR)

    await migrate(accounts_url)

    async with open_accounts(accounts_url) as accounts:
        assert [team.slug for team in await accounts.teams()] == ["acme"]


async def test_migration_when_database_is_older(accounts_url: str) -> None:
    """Teams, tokens and origins of a released revision are kept as they were, and what is new about them is empty."""
    await revise(accounts_url, command.upgrade, "0002")
    await execute(
        accounts_url,
        "INSERT INTO teams (slug, created_at, enabled) VALUES ('acme', '2026-01-02 03:04:05.000000', TRUE)",
        "INSERT INTO team_origins (team, origin) VALUES ('acme', 'https://shop.example')",
        "INSERT INTO tokens (id, team, digest, prefix, last4, name, created_at, write_only, events_per_second)"
        f" VALUES ('tok_old', 'acme', {blob(accounts_url, digest('evt_old'))}, 'evt_old', 'last', 'web',"
        " '2026-01-02 03:04:05.000000', TRUE, 50)",
    )
    async with Database(accounts_url, create=False) as database:
        with pytest.raises(Unavailable, match="`events team list` migrates it"):
            await Accounts(database).live_tokens()

    async with open_stores(accounts_url) as stores:
        (live,) = await stores.accounts.live_tokens()
        (token,) = await stores.accounts.tokens("acme")
        (team,) = await stores.accounts.teams()

    assert (live.digest, live.write_only, live.events_per_second) == (digest("evt_old"), True, 50)
    assert (live.origins, live.event_names) == (frozenset({"https://shop.example"}), frozenset())
    assert (token.created_by, token.last_used_at, token.replaces) == ("", None, None)
    assert (team.enabled, team.requested_at) == (True, None)


async def test_migration_when_taken_back(accounts_url: str) -> None:
    """A database that is full of the newer tables goes back to a released revision, and its teams are kept."""
    async with open_stores(accounts_url) as stores:
        await stores.accounts.create_team("acme", NOW, ACTOR)
        await stores.accounts.create_token("acme", "", NOW, ACTOR, event_names=["Signed up"])
        secret = await stores.people.set_up(NOW, ACTOR, team="acme")
        user = await stores.people.accept(secret or "", "ann@example.com", "hash", NOW, None)
        await stores.sessions.open(user, NOW, "", "")

    await revise(accounts_url, command.downgrade, "0002")
    await migrate(accounts_url)

    async with open_stores(accounts_url) as stores:
        assert [team.slug for team in await stores.accounts.teams()] == ["acme"]
        assert await stores.people.users() == []


async def test_database_when_used(tmp_path: Path) -> None:
    """SQLite is in WAL mode, and holds nothing from which a token, a link or a session could be found."""
    async with open_stores(f"sqlite:///{tmp_path / 'accounts.db'}") as stores:
        await stores.accounts.create_team("acme", NOW, ACTOR)
        token, _ = await stores.accounts.create_token("acme", "web", NOW, ACTOR)
        link = await stores.people.set_up(NOW, ACTOR, team="acme") or ""
        user = await stores.people.accept(link, "ann@example.com", "hash", NOW, None)
        session = await stores.sessions.open(user, NOW, "", "")
        reset = await stores.people.reset("ann@example.com", NOW, ACTOR)

    with closing(sqlite3.connect(tmp_path / "accounts.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        everything = "\n".join(database.iterdump())
    assert digest(token).hex().upper() in everything
    assert not [secret for secret in (token[8:-4], link, session, reset) if secret in everything]


async def test_team_when_made_twice_at_once(accounts_url: str) -> None:
    """Of two who make the same team at the same moment, one is told that it exists."""
    await migrate(accounts_url)
    async with open_accounts(accounts_url) as one, open_accounts(accounts_url) as other:
        done = await asyncio.gather(
            *(accounts.create_team("acme", NOW, ACTOR) for accounts in (one, other)), return_exceptions=True
        )

    assert sum(isinstance(outcome, AlreadyExists) for outcome in done) == 1


async def test_origins_when_changed_at_once(accounts_url: str) -> None:
    """Whoever changes a team's origins at the same moment as others loses none of them."""
    origins = [f"https://{number}.example" for number in range(6)]
    async with open_stores(accounts_url) as one, open_stores(accounts_url) as other:
        await one.accounts.create_team("acme", NOW, ACTOR)
        await asyncio.gather(
            *(
                stores.accounts.change_origins("acme", [origin], (), NOW + timedelta(seconds=1), ACTOR)
                for stores, origin in zip([one, other] * 3, origins, strict=True)
            )
        )

        assert await one.accounts.origins("acme") == origins
        assert (await one.actions("acme")).count("origins_changed") == 6


async def test_reader_when_somebody_writes(tmp_path: Path) -> None:
    """Reading SQLite does not wait for whoever is writing it."""
    url = f"sqlite:///{tmp_path / 'accounts.db'}"
    async with open_stores(url) as stores, Database(url) as other, other.writing() as session:
        await session.execute(text("DELETE FROM teams"))
        async with asyncio.timeout(2):
            assert await stores.accounts.teams() == []


async def test_database_when_it_may_not_be_made(tmp_path: Path) -> None:
    """The ingress says that there is no database, and makes none."""
    async with Database(f"sqlite:///{tmp_path / 'accounts.db'}", create=False) as database:
        with pytest.raises(Unavailable):
            await Accounts(database).live_tokens()

    assert not os.listdir(tmp_path)  # noqa: PTH208 - one call on a folder of our own


async def revise(url: str, direction: Callable[[Config, str], None], revision: str) -> None:
    """Take the database to a revision, with Alembic's command for the direction."""

    def run(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        direction(config, revision)

    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(exist_ok=True)
    engine = open_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


async def execute(url: str, *statements: str) -> None:
    """Say this to the database."""
    async with Database(url) as database, database.writing() as session:
        for statement in statements:
            await session.execute(text(statement))


def blob(url: str, value: bytes) -> str:
    """These bytes, as this kind of database has them in SQL."""
    return f"x'{value.hex()}'" if url.startswith("sqlite") else f"'\\x{value.hex()}'"
