"""The link for who has just started the pipeline and has no user yet."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.errors import PipelineError


@dataclass(frozen=True, slots=True)
class FirstUser:
    """Nobody has signed up.

    Attributes:
        link: with which somebody does, once; None where it was not to be made.
    """

    link: str | None


def first_user(accounts_url: str, console_url: str, team: str, *, make_link: bool) -> FirstUser | None:
    """What there is to say about the first user; None where there is one, or the database does not tell.

    Making a link ends older ones.
    """
    # In a thread: the caller may be in the middle of an event loop's callback.
    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(asyncio.run, _ask(accounts_url, console_url, team, make_link=make_link)).result()
        except PipelineError:
            return None


async def _ask(accounts_url: str, console_url: str, team: str, *, make_link: bool) -> FirstUser | None:
    # SQLAlchemy takes half a second to import, which `events --help` has no use for.
    from deploy.local.demo import LAUNCHER  # noqa: PLC0415
    from ingress.accounts.database import Database  # noqa: PLC0415 - as above
    from ingress.accounts.links import link_url  # noqa: PLC0415 - as above
    from ingress.accounts.models import LinkKind  # noqa: PLC0415 - as above
    from ingress.accounts.people import People  # noqa: PLC0415 - as above

    async with Database(accounts_url) as database:
        people = People(database)
        if not make_link:
            return None if await people.users() else FirstUser(None)
        secret = await people.set_up(datetime.now(UTC), LAUNCHER, team=team)
        return None if secret is None else FirstUser(link_url(console_url, LinkKind.SETUP, secret))
