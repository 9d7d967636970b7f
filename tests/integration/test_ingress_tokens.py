"""Tokens are checked against memory: changes take effect within two seconds, and an absent database changes nothing."""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from ingress.accounts.database import migrate
from ingress.accounts.store import open_accounts
from schemas.settings import KafkaSettings
from tests.accounts import ACTOR
from tests.ingress import TEAM, Ingress, make_accounts, running_ingress
from tests.postgres_service import Postgres, database_of_its_own, running_postgres
from tests.services import wait_until

EFFECT_SECONDS = 2


class InFile:
    """A database of SQLite, which is gone when its file is."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "accounts.db"
        self.url = f"sqlite:///{self.path}"

    def take_away(self) -> None:
        """Nobody finds it."""
        self.path.rename(self.path.with_suffix(".away"))

    def bring_back(self) -> None:
        """It is as it was."""
        assert not self.path.exists()
        self.path.with_suffix(".away").rename(self.path)


class OnServer:
    """A database of PostgreSQL, which is gone when its server is stopped."""

    def __init__(self, url: str, server: Postgres) -> None:
        self.url = url
        self._server = server

    def take_away(self) -> None:
        """Connections are cut, and no new ones are taken."""
        self._server.stop()

    def bring_back(self) -> None:
        """It is as it was."""
        self._server.start()


class World(NamedTuple):
    """An ingress and its accounts database."""

    ingress: Ingress
    database: InFile | OnServer
    token: str

    @property
    def url(self) -> str:
        """The database's."""
        return self.database.url

    def becomes(self, token: str, status: int, seconds: float = EFFECT_SECONDS) -> None:
        """Wait until the token is answered with this status."""
        wait_until(lambda: self.ingress.post(token).status_code == status, f"the token gives {status}", seconds)


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server that may be stopped."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def world(kafka: KafkaSettings, tmp_path: Path) -> AsyncIterator[World]:
    """An ingress whose accounts, in SQLite, may be changed."""
    database = InFile(tmp_path)
    _, token = await make_accounts(tmp_path)
    with running_ingress(kafka, database.url, tmp_path) as ingress:
        yield World(ingress, database, token)


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_world(request: pytest.FixtureRequest, kafka: KafkaSettings, tmp_path: Path) -> AsyncIterator[World]:
    """The same for each kind of database."""
    async with AsyncExitStack() as stack:
        database: InFile | OnServer = InFile(tmp_path)
        if request.param == "postgresql":
            server: Postgres = request.getfixturevalue("own_postgres")
            database = OnServer(await stack.enter_async_context(database_of_its_own(server.url)), server)
        _, token = await make_accounts(tmp_path, database.url)
        ingress = stack.enter_context(running_ingress(kafka, database.url, tmp_path))
        yield World(ingress, database, token)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


async def test_token_when_changed(any_world: World) -> None:
    """A new token is taken, a revoked one refused, and a team switched off and on, each within two seconds."""
    world = any_world
    async with open_accounts(world.url) as accounts:
        secret, token = await accounts.create_token(TEAM, "new", now(), ACTOR)
        world.becomes(secret, 200)

        await accounts.revoke_token(token.id, now(), ACTOR)
        world.becomes(secret, 401)
        assert world.ingress.post(world.token).status_code == 200

        await accounts.enable_team(TEAM, datetime.now(UTC), ACTOR, enabled=False)
        world.becomes(world.token, 403)
        await accounts.enable_team(TEAM, datetime.now(UTC), ACTOR, enabled=True)
        world.becomes(world.token, 200)


async def test_token_when_it_expires(any_world: World) -> None:
    """A token works until it expires, and not after, even when the database is away by then."""
    world = any_world
    async with open_accounts(world.url) as accounts:
        expires_at = now() + timedelta(seconds=3)
        secret, _ = await accounts.create_token(TEAM, "short", now(), ACTOR, expires_at=expires_at)
        world.becomes(secret, 200)

    world.database.take_away()

    world.becomes(secret, 401, seconds=5)
    assert now() >= expires_at
    world.database.bring_back()


async def test_tokens_when_database_is_gone(any_world: World) -> None:
    """Known tokens are taken and unknown ones refused without the database; when it is back, new ones are taken."""
    world = any_world
    world.database.take_away()

    wait_until(lambda: world.ingress.metric("eventsapi_tokens_age_seconds") > EFFECT_SECONDS, "the snapshot ages")
    assert world.ingress.post(world.token).status_code == 200
    assert world.ingress.post("evt_unknown").status_code == 401
    assert world.ingress.is_ready()

    world.database.bring_back()
    async with open_accounts(world.url) as accounts:
        secret, _ = await accounts.create_token(TEAM, "new", now(), ACTOR)
    world.becomes(secret, 200, seconds=10)


def locked(database: Path) -> closing[sqlite3.Connection]:
    """A connection that nobody can read or write beside."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    return closing(connection)


def being_written(database: Path) -> closing[sqlite3.Connection]:
    """A connection that has written and not committed."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE teams SET enabled = 0")
    return closing(connection)


@pytest.mark.parametrize("held", [locked, being_written])
async def test_tokens_when_database_is_held(world: World, held: Callable[[Path], closing[sqlite3.Connection]]) -> None:
    """While somebody holds the database, requests are answered, and as fast as ever."""
    assert isinstance(world.database, InFile)
    with held(world.database.path):
        until = time.monotonic() + EFFECT_SECONDS
        while time.monotonic() < until:
            started = time.monotonic()
            assert world.ingress.post(world.token).status_code == 200
            assert time.monotonic() - started < 1


async def test_requests_when_tokens_were_never_loaded(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Without tokens nobody is refused as unknown: 503, not ready, until the database is there."""
    url = f"sqlite:///{tmp_path / 'accounts.db'}"
    with running_ingress(kafka, url, tmp_path, wait=False) as ingress:
        ingress.wait_until_listening()

        answer = ingress.post("evt_any")

        assert answer.status_code == 503
        assert answer.json()["code"] == "unavailable"
        assert int(answer.headers["Retry-After"]) > 0
        assert not ingress.is_ready()

        await migrate(url)
        wait_until(ingress.is_ready, "the tokens are loaded", 10)
        assert ingress.post("evt_any").status_code == 401
