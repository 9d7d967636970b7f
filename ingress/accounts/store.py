"""Teams and their tokens in the accounts database, as one store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingress.accounts.database import Database
from ingress.accounts.team_tokens import TeamTokens
from ingress.accounts.teams import Teams


class Accounts(Teams, TeamTokens):
    """Everything that the ingress asks, and that its operators change without signing in."""


@asynccontextmanager
async def open_accounts(url: str) -> AsyncIterator[Accounts]:
    """The store over a database of its own, for as long as the context lasts."""
    async with Database(url) as database:
        yield Accounts(database)
