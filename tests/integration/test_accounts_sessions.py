"""Sessions and the access log, on SQLite and PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from ingress.accounts.access_log import MAX_DETAIL_CHARACTERS, Action
from ingress.accounts.actors import Actor
from ingress.accounts.models import Role, User
from tests.accounts import ACTOR, NOW, Stores, open_stores

ANN = Actor("ann@example.com")


@pytest.fixture
async def stores(accounts_url: str) -> AsyncIterator[Stores]:
    """The stores over an empty database."""
    async with open_stores(accounts_url) as opened:
        await opened.accounts.create_team("acme", NOW, ACTOR)
        yield opened


@pytest.fixture
async def ann(stores: Stores) -> User:
    """The first user, who owns a team."""
    secret = await stores.people.set_up(NOW, ACTOR, team="acme") or ""
    return await stores.people.accept(secret, "ann@example.com", "hash", NOW, None)


async def test_session_when_found(stores: Stores, ann: User) -> None:
    """A session tells whose it is and what they may; another secret tells nothing."""
    secret = await stores.sessions.open(ann, NOW, "Firefox\x1b[31m" + "x" * 300, "192.0.2.7")

    signed_in = await stores.sessions.find(secret, NOW)

    assert signed_in is not None
    assert (signed_in.user.id, signed_in.operator, dict(signed_in.memberships)) == (ann.id, True, {"acme": Role.OWNER})
    assert (signed_in.session.address, signed_in.session.user_agent[:12]) == ("192.0.2.7", "Firefox?[31m")
    assert len(signed_in.session.user_agent) == 200
    assert await stores.sessions.find(secret[:-1], NOW) is None


async def test_session_when_idle(stores: Stores, ann: User) -> None:
    """A session in use goes on until its absolute end; one that is not used ends after twelve hours."""
    used, idle = [await stores.sessions.open(ann, NOW, "", "") for _ in range(2)]
    for hours in range(6, 7 * 24, 6):
        assert await stores.sessions.find(used, NOW + timedelta(hours=hours)) is not None

    assert await stores.sessions.find(idle, NOW + timedelta(hours=12)) is None
    assert await stores.sessions.find(used, NOW + timedelta(days=7)) is None
    assert await stores.sessions.of_user(ann.id, NOW + timedelta(days=7)) == []
    assert len(await stores.sessions.of_user(ann.id, NOW)) == 2


async def test_session_when_others_ended(stores: Stores, ann: User) -> None:
    """Signing in deletes what has ended of the user's sessions."""
    for _ in range(2):
        await stores.sessions.open(ann, NOW, "", "")

    await stores.sessions.open(ann, NOW + timedelta(hours=12), "", "")

    assert len(await stores.sessions.of_user(ann.id, NOW)) == 1


async def test_session_when_seen(stores: Stores, ann: User) -> None:
    """When it was last seen is written at most once a minute, and listed."""
    secret = await stores.sessions.open(ann, NOW, "", "")

    seen = []
    for seconds in (59, 61, 62):
        await stores.sessions.find(secret, NOW + timedelta(seconds=seconds))
        seen += [session.last_seen_at - NOW for session in await stores.sessions.of_user(ann.id, NOW)]

    assert seen == [timedelta(), timedelta(seconds=61), timedelta(seconds=61)]


async def test_sessions_when_closed(stores: Stores, ann: User) -> None:
    """A closed session is gone, alone or all others; the log tells once of each."""
    one, two, three = [await stores.sessions.open(ann, NOW, "", "") for _ in range(3)]
    found = await stores.sessions.find(one, NOW)
    kept = await stores.sessions.find(two, NOW)
    assert found is not None
    assert kept is not None

    for _ in range(2):
        await stores.sessions.close(found.session.digest, NOW, ANN)
        await stores.sessions.close_others(ann.id, kept.session.digest, NOW, ANN)

    assert await stores.sessions.find(one, NOW) is None
    assert await stores.sessions.find(two, NOW) is not None
    assert await stores.sessions.find(three, NOW) is None
    assert (await stores.actions())[-2:] == ["signed_out", "sessions_closed"]


async def test_session_when_confirmed(stores: Stores, ann: User) -> None:
    """When the password was given once more is kept."""
    secret = await stores.sessions.open(ann, NOW, "", "")
    before = await stores.sessions.find(secret, NOW)
    assert before is not None

    await stores.sessions.confirm(before.session.digest, NOW + timedelta(minutes=30))

    after = await stores.sessions.find(secret, NOW)
    assert after is not None
    assert (before.session.confirmed_at, after.session.confirmed_at) == (NOW, NOW + timedelta(minutes=30))


async def test_log_when_read(stores: Stores) -> None:
    """The log is read newest first and page by page; a team's has nothing of others."""
    await stores.accounts.create_team("other", NOW, ACTOR)
    for number in range(5):
        await stores.log.add(Action.SIGN_IN_FAILED, NOW, ANN, team="acme", detail=str(number))

    first = await stores.log.entries("acme", limit=2)
    rest = await stores.log.entries("acme", before=first[-1].id)

    assert [entry.detail for entry in [*first, *rest]] == ["4", "3", "2", "1", "0", ""]
    assert {entry.team for entry in await stores.log.entries(None)} == {"acme", "other"}


async def test_log_when_text_is_hostile(stores: Stores) -> None:
    """What somebody typed neither moves a cursor, nor makes a second line, nor fills the log."""
    await stores.log.add(Action.SIGN_IN_FAILED, NOW, Actor("x\r\n\0y"), subject="\x1b[2J", detail="z" * 10_000)

    entry = (await stores.log.entries(None))[0]

    assert (entry.actor, entry.subject) == ("x???y", "?[2J")
    assert len(entry.detail) == MAX_DETAIL_CHARACTERS
