"""The team `demo` and its token, which the first start makes and every other one finds again."""

from datetime import datetime
from pathlib import Path

from deploy.local.demo_token import TEAM, read_token
from deploy.local.state import write_private
from ingress.accounts.actors import Actor
from ingress.accounts.database import migrate
from ingress.accounts.errors import AlreadyExists
from ingress.accounts.store import Accounts, open_accounts

LAUNCHER = Actor("events up")


async def ensure_demo(accounts_url: str, token_file: Path, now: datetime) -> str:
    """The demo team's token, from its file; a new one where there is none, or it no longer may do all that it should.

    Raises:
        Unavailable: the accounts database cannot be used.
    """
    await migrate(accounts_url)
    async with open_accounts(accounts_url) as accounts:
        try:
            await accounts.create_team(TEAM, now, LAUNCHER)
        except AlreadyExists:
            if (token := read_token(token_file)) and await _is_good(accounts, token, now):
                return token
        token, _ = await accounts.create_token(TEAM, "made by `events up`", now, LAUNCHER, schemas=True)
    write_private(token_file, token.encode())
    return token


async def _is_good(accounts: Accounts, token: str, now: datetime) -> bool:
    holder = await accounts.holder(token, now)
    return holder is not None and holder.team == TEAM and holder.schemas
