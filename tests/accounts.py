"""What tests of accounts share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from ingress.accounts.access_log import AccessLog
from ingress.accounts.actors import Actor
from ingress.accounts.database import Database, migrate
from ingress.accounts.people import People
from ingress.accounts.sessions import Sessions
from ingress.accounts.store import Accounts
from ingress.registry.store import SchemaStore

ACTOR = Actor("a test")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Stores:
    """All stores over one database."""

    def __init__(self, database: Database) -> None:
        self.accounts = Accounts(database)
        self.people = People(database)
        self.sessions = Sessions(database)
        self.log = AccessLog(database)
        self.schemas = SchemaStore(database)

    async def actions(self, team: str | None = None) -> list[str]:
        """What the log tells of, oldest first."""
        return [entry.action for entry in reversed(await self.log.entries(team))]


@asynccontextmanager
async def open_stores(url: str) -> AsyncIterator[Stores]:
    """The stores over a database that is made, or migrated, where it has to be."""
    await migrate(url)
    async with Database(url) as database:
        yield Stores(database)
