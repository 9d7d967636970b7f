"""What a start says to whoever has no user yet."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local.first_user import FirstUser, first_user
from deploy.local.state import Addresses, Birth, State
from deploy.local.summary import summary
from tests.accounts import ACTOR, NOW, open_stores

CONSOLE = "http://127.0.0.1:8081"
STATE = State(
    supervisor=Birth(1, 0.0),
    data_dir="/data",
    addresses=Addresses(
        api="http://127.0.0.1:8080",
        kafka="127.0.0.1:9092",
        clickhouse="http://127.0.0.1:8123",
        console=CONSOLE,
        metrics={},
        embedded=frozenset(),
    ),
    clickhouse_url="",
    ready=True,
    processes=[],
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An accounts database with a team and no user."""
    url = f"sqlite:///{tmp_path / 'accounts.db'}"

    async def make() -> None:
        async with open_stores(url) as stores:
            await stores.accounts.create_team("demo", NOW, ACTOR)

    asyncio.run(make())
    return url


def sign_up(url: str, link: str) -> None:
    """Do what the page behind the link does."""

    async def use() -> None:
        async with open_stores(url) as stores:
            await stores.people.accept(link.rpartition("/")[2], "ann@example.com", "hash", datetime.now(UTC), None)

    asyncio.run(use())


def test_link_when_there_is_nobody(url: str) -> None:
    """The link opens the Owner account of the team; once it was taken, there is nothing more to say."""
    found = first_user(url, CONSOLE, "demo", make_link=True)
    assert found is not None
    assert found.link is not None
    assert found.link.startswith(f"{CONSOLE}/setup/")

    sign_up(url, found.link)

    assert first_user(url, CONSOLE, "demo", make_link=True) is None
    assert first_user(url, CONSOLE, "demo", make_link=False) is None


def test_link_when_it_may_not_be_shown(url: str) -> None:
    """Where no secret may be shown none is made, and a link that somebody has goes on working."""
    found = first_user(url, CONSOLE, "demo", make_link=True)
    assert found is not None

    assert first_user(url, CONSOLE, "demo", make_link=False) == FirstUser(None)

    sign_up(url, found.link or "")


def test_link_when_the_database_is_away() -> None:
    """A start that cannot tell says nothing of users, and does not fail."""
    assert first_user("postgresql://events@127.0.0.1:1/events", CONSOLE, "demo", make_link=True) is None


@pytest.mark.parametrize(
    ("user", "said", "unsaid"),
    [
        (
            FirstUser(f"{CONSOLE}/setup/s3cret"),
            f"{CONSOLE}/setup/s3cret   (once; opens your Owner account",
            "user setup",
        ),
        (FirstUser(None), f"{CONSOLE}   (`events user setup` prints", "/setup/"),
        (None, f"Console              {CONSOLE}\n", "setup"),
    ],
)
def test_summary_when_printed(user: FirstUser | None, said: str, unsaid: str) -> None:
    """The console's line has the link, or how to get one, or no more than the address."""
    text = summary(STATE, user, detached=False, secrets=False)

    (line,) = (line for line in text.splitlines() if line.startswith("Console"))
    assert said in f"{line}\n"
    assert unsaid not in line
