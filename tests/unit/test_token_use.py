"""When the use of a token is written."""

from ingress.accounts.database import Database
from ingress.accounts.store import Accounts
from ingress.token_use import TokenUse


async def test_use_when_within_a_minute() -> None:
    """A token's first use is due at once, and another one when a minute has gone by since the last that was written."""
    async with Database("sqlite:////nowhere/accounts.db", create=False) as database:
        use = TokenUse(Accounts(database))

        use.last |= {"tok_a": 1000.0, "tok_b": 1030.0}
        first = use.due()
        use._written |= first
        use.last |= {"tok_a": 1059.9}
        second = use.due()
        use.last |= {"tok_a": 1060.0}

        assert (first, second, use.due()) == ({"tok_a": 1000.0, "tok_b": 1030.0}, {}, {"tok_a": 1060.0})
