"""Users, one-time links and roles, on SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import delete

from ingress.accounts.database import Database
from ingress.accounts.errors import AlreadyExists, LastOwner, NotFound
from ingress.accounts.models import LinkKind, Membership, Role, User
from ingress.accounts.people import People
from ingress.accounts.teams import find_team
from tests.accounts import ACTOR, NOW, Stores, open_stores

LATER = NOW + timedelta(minutes=5)


@pytest.fixture
async def stores(accounts_url: str) -> AsyncIterator[Stores]:
    """The stores, with a team and nobody in it."""
    async with open_stores(accounts_url) as opened:
        await opened.accounts.create_team("acme", NOW, ACTOR)
        yield opened


async def join(people: People, email: str, role: Role = Role.MEMBER, team: str = "acme") -> User:
    """A new user in the team."""
    secret = await people.invite(team, role, None, NOW, ACTOR)
    return await people.accept(secret, email, f"hash of {email}", NOW, "192.0.2.7")


async def roles(people: People, team: str = "acme") -> dict[str, Role]:
    """Who is in the team, as what."""
    return {member.user.email: member.role for member in await people.members(team)}


async def test_set_up_when_there_is_nobody(stores: Stores) -> None:
    """The first user is an operator and Owner of the team; an older link is worthless, as is a new one afterwards."""
    older = await stores.people.set_up(NOW, ACTOR, team="acme")
    secret = await stores.people.set_up(NOW, ACTOR, team="acme")
    assert older is not None
    assert secret is not None
    with pytest.raises(NotFound):
        await stores.people.accept(older, "eve@example.com", "hash", LATER, None)

    user = await stores.people.accept(secret, "Ann@Example.com", "hash", LATER, None)

    assert (user.email, user.operator) == ("ann@example.com", True)
    assert await roles(stores.people) == {"ann@example.com": Role.OWNER}
    assert await stores.people.set_up(LATER, ACTOR, team="acme") is None


async def test_set_up_when_somebody_came_first(stores: Stores) -> None:
    """A link that was made before there was a user makes no operator once there is one."""
    secret = await stores.people.set_up(NOW, ACTOR, team=None) or ""
    await join(stores.people, "ann@example.com")

    with pytest.raises(NotFound):
        await stores.people.accept(secret, "eve@example.com", "hash", LATER, None)


async def test_invite_when_accepted(stores: Stores) -> None:
    """Whoever holds the link joins once, as what it says; the log has who, what and from where."""
    secret = await stores.people.invite("acme", Role.OWNER, "Ann@example.com", NOW, ACTOR)
    assert (await stores.people.find_invite(secret, LATER)).role is Role.OWNER
    assert [invite.email for invite in await stores.people.invites("acme", LATER)] == ["ann@example.com"]

    user = await stores.people.accept(secret, "ann@example.com", "hash", LATER, "192.0.2.7")

    assert not user.operator
    assert await roles(stores.people) == {"ann@example.com": Role.OWNER}
    assert await stores.people.invites("acme", LATER) == []
    with pytest.raises(NotFound):
        await stores.people.find_invite(secret, LATER)
    entry = (await stores.log.entries("acme"))[0]
    assert (entry.action, entry.actor, entry.actor_user_id) == ("member_added", "ann@example.com", user.id)
    assert (entry.address, entry.detail, entry.at) == ("192.0.2.7", "as owner, invited by a test", LATER)


async def test_invite_when_two_take_it_at_once(accounts_url: str, stores: Stores) -> None:
    """Of two who take the same link at the same moment, one gets in, and the other leaves no trace."""
    secret = await stores.people.invite("acme", Role.MEMBER, None, NOW, ACTOR)
    async with open_stores(accounts_url) as other:
        done = await asyncio.gather(
            stores.people.accept(secret, "ann@example.com", "hash", LATER, None),
            other.people.accept(secret, "bob@example.com", "hash", LATER, None),
            return_exceptions=True,
        )

    (winner,) = (outcome for outcome in done if isinstance(outcome, User))
    assert [type(outcome) for outcome in done if not isinstance(outcome, User)] == [NotFound]
    assert await roles(stores.people) == {winner.email: Role.MEMBER}
    assert [user.email for user in await stores.people.users()] == [winner.email]


async def test_user_when_made_twice_at_once(accounts_url: str, stores: Stores) -> None:
    """Of two links that make the same user at the same moment, one does; the other one is as good as before."""
    secrets = [await stores.people.invite("acme", Role.MEMBER, None, NOW, ACTOR) for _ in range(2)]
    async with open_stores(accounts_url) as other:
        done = await asyncio.gather(
            *(
                people.accept(secret, "ann@example.com", "hash", LATER, None)
                for people, secret in zip([stores.people, other.people], secrets, strict=True)
            ),
            return_exceptions=True,
        )

    assert sorted(type(outcome).__name__ for outcome in done) == ["AlreadyExists", "User"]
    assert len(await stores.people.invites("acme", LATER)) == 1


@pytest.mark.parametrize("days", [7, 8])
async def test_invite_when_expired(stores: Stores, days: int) -> None:
    """A link that has expired is as unknown as one that never was, and is not listed."""
    secret = await stores.people.invite("acme", Role.MEMBER, None, NOW, ACTOR)
    late = NOW + timedelta(days=days)

    with pytest.raises(NotFound) as expired:
        await stores.people.accept(secret, "ann@example.com", "hash", late, None)
    with pytest.raises(NotFound) as unknown:
        await stores.people.find_invite("never", late)

    assert str(expired.value) == str(unknown.value)
    assert await stores.people.invites("acme", late) == []
    assert await stores.people.users() == []


async def test_invite_when_for_another_address(stores: Stores) -> None:
    """A link for one address makes no user of another, and lets no other user in; it stays as it is."""
    bob = await join(stores.people, "bob@example.com")
    await stores.accounts.create_team("other", NOW, ACTOR)
    secret = await stores.people.invite("other", Role.MEMBER, "ann@example.com", NOW, ACTOR)

    with pytest.raises(ValueError, match=r"for ann@example\.com"):
        await stores.people.accept(secret, "eve@example.com", "hash", LATER, None)
    with pytest.raises(ValueError, match=r"for ann@example\.com"):
        await stores.people.join(secret, bob.id, LATER, None)

    assert (await stores.people.accept(secret, "ann@example.com", "hash", LATER, None)).email == "ann@example.com"


async def test_invite_when_withdrawn(stores: Stores) -> None:
    """A link that was withdrawn is worthless; another team's cannot be."""
    secret = await stores.people.invite("acme", Role.MEMBER, None, NOW, ACTOR)
    (invite,) = await stores.people.invites("acme", NOW)
    with pytest.raises(NotFound):
        await stores.people.withdraw_invite("other", invite.digest, NOW, ACTOR)

    await stores.people.withdraw_invite("acme", invite.digest, NOW, ACTOR)

    with pytest.raises(NotFound):
        await stores.people.find_invite(secret, NOW)


async def test_join_when_signed_in(stores: Stores) -> None:
    """A user takes an invitation into another team; one who is in it keeps it for others; a reset is none."""
    ann = await join(stores.people, "ann@example.com", Role.OWNER)
    await stores.accounts.create_team("other", NOW, ACTOR)
    secret = await stores.people.invite("other", Role.MEMBER, None, NOW, ACTOR)
    with pytest.raises(AlreadyExists):
        await stores.people.accept(secret, "ann@example.com", "hash", LATER, None)

    membership = await stores.people.join(secret, ann.id, LATER, None)

    assert (membership.team, membership.role) == ("other", Role.MEMBER)
    assert [m.team for m in await stores.people.memberships(ann.id)] == ["acme", "other"]
    second = await stores.people.invite("acme", Role.MEMBER, None, NOW, ACTOR)
    with pytest.raises(AlreadyExists):
        await stores.people.join(second, ann.id, LATER, None)
    assert (await stores.people.find_invite(second, LATER)).kind is LinkKind.INVITE
    with pytest.raises(NotFound):
        await stores.people.join(await stores.people.reset("ann@example.com", NOW, ACTOR), ann.id, LATER, None)
    with pytest.raises(AlreadyExists):
        await stores.people.invite("acme", Role.MEMBER, "Ann@example.com", NOW, ACTOR)


async def test_reset_when_used(stores: Stores) -> None:
    """A reset sets its user's password, whatever address is said, and closes all sessions; the newest link holds."""
    ann = await join(stores.people, "ann@example.com")
    session = await stores.sessions.open(ann, NOW, "Firefox", "192.0.2.7")
    older = await stores.people.reset("ANN@example.com", NOW, ACTOR)
    secret = await stores.people.reset("ann@example.com", NOW, ACTOR)
    with pytest.raises(NotFound):
        await stores.people.accept(older, "", "new hash", LATER, None)

    await stores.people.accept(secret, "eve@example.com", "new hash", LATER, None)

    assert (await stores.people.user(ann.id)).password_hash == "new hash"
    assert [user.email for user in await stores.people.users()] == ["ann@example.com"]
    assert await stores.sessions.find(session, LATER) is None
    with pytest.raises(NotFound):
        await stores.people.accept(secret, "", "newer hash", LATER, None)


async def test_password_when_changed(stores: Stores) -> None:
    """Changing the password closes all sessions but the one that did it."""
    ann = await join(stores.people, "ann@example.com")
    here, there = [await stores.sessions.open(ann, NOW, "", "") for _ in range(2)]
    signed_in = await stores.sessions.find(here, LATER)
    assert signed_in is not None

    await stores.people.set_password(ann.id, "new hash", LATER, ACTOR, keep_session=signed_in.session.digest)

    assert (await stores.people.user_by_email("Ann@example.com")).password_hash == "new hash"
    assert await stores.sessions.find(here, LATER) is not None
    assert await stores.sessions.find(there, LATER) is None


async def test_owner_when_the_last(stores: Stores) -> None:
    """The last Owner who can sign in is neither removed nor made a Member; with another one, they are."""
    ann = await join(stores.people, "ann@example.com", Role.OWNER)
    bob = await join(stores.people, "bob@example.com", Role.OWNER)
    await stores.people.change_user(bob.id, NOW, ACTOR, disabled=True)
    for change in (
        stores.people.remove_member("acme", ann.id, NOW, ACTOR),
        stores.people.change_role("acme", ann.id, Role.MEMBER, NOW, ACTOR),
    ):
        with pytest.raises(LastOwner):
            await change

    await stores.people.change_user(bob.id, NOW, ACTOR, disabled=False)
    await stores.people.change_role("acme", ann.id, Role.MEMBER, NOW, ACTOR)
    await stores.people.remove_member("acme", ann.id, NOW, ACTOR)

    assert await roles(stores.people) == {"bob@example.com": Role.OWNER}
    with pytest.raises(NotFound):
        await stores.people.remove_member("acme", ann.id, NOW, ACTOR)


async def test_owners_when_both_leave_at_once(accounts_url: str, stores: Stores) -> None:
    """Whoever leaves while another Owner is leaving waits, and is then the last one."""
    ann, bob = [await join(stores.people, f"{name}@example.com", Role.OWNER) for name in ("ann", "bob")]
    async with Database(accounts_url) as database:
        async with database.writing() as session:
            await find_team(session, "acme", lock=True)
            await session.execute(delete(Membership).where(Membership.user_id == bob.id))
            leaving = asyncio.create_task(stores.people.remove_member("acme", ann.id, LATER, ACTOR))
            assert await asyncio.wait({leaving}, timeout=0.5) == (set(), {leaving})

        with pytest.raises(LastOwner):
            await leaving

    assert await roles(stores.people) == {"ann@example.com": Role.OWNER}


async def test_user_when_disabled(stores: Stores) -> None:
    """A user who is disabled is signed out everywhere and cannot come back; each change is in the log once."""
    ann = await join(stores.people, "ann@example.com")
    session = await stores.sessions.open(ann, NOW, "", "")

    for _ in range(2):
        await stores.people.change_user(ann.id, LATER, ACTOR, operator=True, disabled=True)

    assert await stores.sessions.find(session, LATER) is None
    with pytest.raises(NotFound):
        await stores.sessions.open(ann, LATER, "", "")
    assert (await stores.actions())[-2:] == ["operator_granted", "user_disabled"]


async def test_sign_in_when_the_password_is_changed_meanwhile(stores: Stores) -> None:
    """Whoever has typed the old password a moment before opens no session after it was changed."""
    ann = await join(stores.people, "ann@example.com")

    await stores.people.set_password(ann.id, "another hash", LATER, ACTOR, keep_session=None)

    with pytest.raises(NotFound):
        await stores.sessions.open(ann, LATER, "", "")
