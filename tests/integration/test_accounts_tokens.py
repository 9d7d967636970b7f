"""Tokens and the states of teams in the database, on SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from ingress.accounts.database import Database
from ingress.accounts.errors import AlreadyExists, NotFound
from ingress.accounts.models import Token
from ingress.accounts.tokens import digest
from tests.accounts import ACTOR, NOW, Stores, open_stores

LATER = NOW + timedelta(days=1)


@pytest.fixture
async def stores(accounts_url: str) -> AsyncIterator[Stores]:
    """The stores, with two teams."""
    async with open_stores(accounts_url) as opened:
        await opened.accounts.create_team("acme", NOW, ACTOR)
        await opened.accounts.create_team("other", NOW, ACTOR)
        yield opened


async def live(stores: Stores) -> set[bytes]:
    """The digests of all tokens that the ingress would know."""
    return {token.digest for token in await stores.accounts.live_tokens()}


async def test_team_when_it_asks(stores: Stores) -> None:
    """A team that is not enabled asks once, and is enabled or not; what was done already is in the log once."""
    accounts = stores.accounts
    await accounts.create_team("new", NOW, ACTOR, enabled=False)

    asked = [await accounts.request_events_api("new", at, ACTOR) for at in (NOW, LATER)]
    enabled = [await accounts.enable_team("new", LATER, ACTOR, enabled=True) for _ in range(2)]
    late = await accounts.request_events_api("new", LATER, ACTOR)

    assert [(team.enabled, team.requested_at, team.requested_by) for team in asked] == [(False, NOW, "a test")] * 2
    assert [(team.enabled, team.requested_at) for team in [*enabled, late]] == [(True, None)] * 3
    assert await stores.actions("new") == ["team_created", "team_requested", "team_enabled"]


async def test_token_when_it_has_a_scope(stores: Stores) -> None:
    """The events that a token may send are kept, known to the ingress, and shown to its team only."""
    secret, token = await stores.accounts.create_token(
        "acme", "", NOW, ACTOR, event_names=["Signed up", "Paid", "Paid"]
    )
    free, _ = await stores.accounts.create_token("acme", "", NOW, ACTOR)

    names = {found.digest: found.event_names for found in await stores.accounts.live_tokens()}
    assert names == {digest(secret): {"Signed up", "Paid"}, digest(free): frozenset()}
    assert await stores.accounts.event_names("acme") == {token.id: {"Signed up", "Paid"}}
    assert await stores.accounts.event_names("other") == {}
    assert token.created_by == "a test"


@pytest.mark.parametrize(
    ("name", "limit", "event_names"),
    [
        ("x" * 101, None, ()),
        ("a\0b", None, ()),
        ("", 0, ()),
        ("", 2**31, ()),
        ("", None, [""]),
        ("", None, ["x" * 201]),
        ("", None, ["a\0b"]),
        ("", None, [str(number) for number in range(101)]),
    ],
)
async def test_token_when_it_cannot_be(
    stores: Stores, name: str, limit: int | None, event_names: tuple[str, ...]
) -> None:
    """What a token cannot be is refused before the database sees it."""
    with pytest.raises(ValueError, match=r"^(a token|a limit|an event's name)"):
        await stores.accounts.create_token("acme", name, NOW, ACTOR, events_per_second=limit, event_names=event_names)

    assert await stores.accounts.tokens("acme") == []


async def test_token_when_rotated_with_an_overlap(stores: Stores) -> None:
    """The successor may do the same and lives as long; the old one works for the overlap yet."""
    accounts = stores.accounts
    secret, old = await accounts.create_token(
        "acme",
        "web",
        NOW,
        ACTOR,
        expires_at=NOW + timedelta(days=90),
        write_only=True,
        events_per_second=7,
        event_names=["Paid"],
    )

    new_secret, new = await accounts.rotate_token(old.id, LATER, ACTOR, overlap=timedelta(hours=24), team="acme")

    (kept,) = (token for token in await accounts.tokens("acme") if token.id == old.id)
    assert (kept.expires_at, kept.revoked_at) == (LATER + timedelta(hours=24), None)
    assert (new.name, new.write_only, new.events_per_second) == ("web", True, 7)
    assert (new.expires_at, new.replaces) == (LATER + timedelta(days=90), old.id)
    assert await accounts.event_names("acme") == {old.id: {"Paid"}, new.id: {"Paid"}}
    assert await live(stores) == {digest(secret), digest(new_secret)}


async def test_token_when_rotated_at_once(stores: Stores) -> None:
    """Without an overlap the old token is revoked; an overlap never makes a token live longer than it would have."""
    accounts = stores.accounts
    _, leaked = await accounts.create_token("acme", "", NOW, ACTOR)
    _, ending = await accounts.create_token("acme", "", NOW, ACTOR, expires_at=LATER + timedelta(hours=1))

    secret, new = await accounts.rotate_token(leaked.id, LATER, ACTOR, overlap=timedelta())
    await accounts.rotate_token(ending.id, LATER, ACTOR, overlap=timedelta(days=7))

    kept = {token.id: token for token in await accounts.tokens("acme")}
    assert kept[leaked.id].revoked_at == LATER
    assert kept[ending.id].expires_at == LATER + timedelta(hours=1)
    assert new.expires_at is None
    assert digest(secret) in await live(stores)


async def test_token_when_it_cannot_be_rotated(stores: Stores) -> None:
    """A token that works no longer, has a successor or is another team's is not rotated."""
    accounts = stores.accounts
    _, revoked = await accounts.create_token("acme", "", NOW, ACTOR)
    await accounts.revoke_token(revoked.id, NOW, ACTOR)
    _, expired = await accounts.create_token("acme", "", NOW, ACTOR, expires_at=LATER)
    _, good = await accounts.create_token("acme", "", NOW, ACTOR)

    for token in (revoked, expired):
        with pytest.raises(ValueError, match="works no longer"):
            await accounts.rotate_token(token.id, LATER, ACTOR, overlap=timedelta(hours=1))
    with pytest.raises(NotFound):
        await accounts.rotate_token(good.id, LATER, ACTOR, overlap=timedelta(), team="other")
    with pytest.raises(NotFound):
        await accounts.revoke_token(good.id, LATER, ACTOR, team="other")

    assert len(await accounts.tokens("acme")) == 3
    assert "token_rotated" not in await stores.actions()


async def test_token_when_rotated_twice_at_once(accounts_url: str, stores: Stores) -> None:
    """Whoever rotates a token that somebody else is rotating waits, and is told of its successor."""
    _, old = await stores.accounts.create_token("acme", "", NOW, ACTOR)
    _, new = await stores.accounts.create_token("acme", "", NOW, ACTOR)
    async with Database(accounts_url) as database:
        async with database.writing() as session:
            await session.get(Token, old.id, with_for_update=True)
            await session.execute(update(Token).where(Token.id == new.id).values(replaces=old.id))
            rotating = asyncio.create_task(stores.accounts.rotate_token(old.id, LATER, ACTOR, overlap=LATER - NOW))
            assert await asyncio.wait({rotating}, timeout=0.5) == (set(), {rotating})

        with pytest.raises(AlreadyExists, match=new.id):
            await rotating

    assert len(await stores.accounts.tokens("acme")) == 2


async def test_token_when_revoked_by_who_holds_it(stores: Stores) -> None:
    """The secret alone revokes its token; a second time changes nothing, and an unknown one is none."""
    secret, token = await stores.accounts.create_token("acme", "", NOW, ACTOR)

    first = await stores.accounts.revoke_secret(secret, LATER, ACTOR)
    second = await stores.accounts.revoke_secret(secret, LATER + timedelta(days=1), ACTOR)

    assert first.id == token.id
    assert first.revoked_at == second.revoked_at == LATER
    assert await live(stores) == set()
    assert (await stores.actions("acme")).count("token_revoked") == 1
    with pytest.raises(NotFound):
        await stores.accounts.revoke_secret("evt_unknown", LATER, ACTOR)


async def test_tokens_when_used(accounts_url: str, stores: Stores) -> None:
    """When a token was last used is the latest that anybody says, in whatever order they come."""
    tokens = [(await stores.accounts.create_token("acme", "", NOW, ACTOR))[1] for _ in range(3)]
    hours = [{tokens[0].id: 1, tokens[1].id: 3}, {tokens[1].id: 2, tokens[0].id: 4, "tok_unknown": 9}]
    used = [{name: NOW + timedelta(hours=at) for name, at in by_name.items()} for by_name in hours]
    async with open_stores(accounts_url) as other:
        await asyncio.gather(stores.accounts.touch_tokens(used[0]), other.accounts.touch_tokens(used[1]))

    last = {token.id: token.last_used_at for token in await stores.accounts.tokens("acme")}
    assert last == {
        tokens[0].id: NOW + timedelta(hours=4),
        tokens[1].id: NOW + timedelta(hours=3),
        tokens[2].id: None,
    }


async def test_token_when_it_may_change_schemas(stores: Stores) -> None:
    """Its successor may, too; a token that is public never does; one that works no longer is nobody's."""
    accounts = stores.accounts
    secret, old = await accounts.create_token("acme", "", NOW, ACTOR, schemas=True, event_names=["x"])
    with pytest.raises(ValueError, match="write-only"):
        await accounts.create_token("acme", "", NOW, ACTOR, schemas=True, write_only=True)

    new, _ = await accounts.rotate_token(old.id, NOW, ACTOR, overlap=timedelta())

    assert await accounts.holder(secret, NOW) is None
    holder = await accounts.holder(new, NOW)
    assert holder is not None
    assert (holder.team, holder.schemas, holder.write_only, holder.event_names) == (
        "acme",
        True,
        False,
        frozenset({"x"}),
    )
    expired, _ = await accounts.create_token("acme", "", NOW, ACTOR, expires_at=LATER)
    assert (found := await accounts.holder(expired, NOW)) is not None
    assert not found.schemas
    assert await accounts.holder(expired, LATER) is None
