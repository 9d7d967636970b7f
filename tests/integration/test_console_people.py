"""People: the first one, invitations, roles, new passwords; and the log of all that."""

import re
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from ingress.accounts.access_log import Action
from ingress.accounts.models import Role, User
from tests.accounts import ACTOR, open_stores
from tests.console import PASSWORD, SESSION_COOKIE, Console, Visitor, now, running_console

LINK = re.compile(r'id="made-link"[^>]*>http://[^/]+(/[a-z]+/[0-9A-Za-z]+)<')


def link_on(page: str) -> str:
    """The path of the one-time link that a page shows."""
    (path,) = LINK.findall(page)
    return str(path)


def address() -> str:
    """Of somebody whom no other test knows."""
    return f"{uuid.uuid4().hex[:12]}@example.com"


@pytest.fixture
async def team(console: Console) -> str:
    """One that no other test has."""
    return await console.team()


@pytest.fixture
async def user(console: Console, team: str) -> User:
    """Its Owner."""
    return await console.user({team: Role.OWNER})


@pytest.fixture
async def owner(console: Console, user: User) -> Visitor:
    """A browser of theirs."""
    return await console.signed_in(user)


async def test_first_user_when_set_up(tmp_path: Path) -> None:
    """The link makes an operator who owns the team and is signed in; it works once, and looking at it uses nothing."""
    database = tmp_path / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        await stores.accounts.create_team("demo", now(), ACTOR)
        secret = await stores.people.set_up(now(), ACTOR, team="demo")
        with running_console(database, stores) as console:
            visitor, path = console.visitor(), f"/setup/{secret}"
            for _ in range(2):
                assert "owns the team" in visitor.get(path).text
            weak = visitor.post(path, {"email": "ann@example.com", "password": "annannannann"})
            assert weak.status_code == 422

            answer = visitor.post(path, {"email": "Ann@Example.com", "password": PASSWORD})

            assert answer.status_code == 303
            assert visitor.get("/").headers["Location"] == "/teams/demo/settings"
            assert "Create token" in visitor.get("/teams/demo/settings").text
            assert visitor.get("/operator").status_code == 200
            assert console.visitor().get(path).status_code == 404
            assert console.visitor().post(path, {"email": "eve@example.com", "password": PASSWORD}).status_code == 404
            assert [user.email for user in await stores.people.users()] == ["ann@example.com"]
            assert str(secret) not in console.log.read_text("utf-8")


async def test_invite_when_made_and_taken(console: Console, team: str, owner: Visitor) -> None:
    """The Owner gets a link, the invited one a place in the team with the role that was chosen, once."""
    email, path = address(), f"/teams/{team}/invite"
    made = owner.post(path, {"nonce": owner.nonce(path), "email": email, "role": "owner"})
    link = link_on(made.text)
    assert made.headers["Cache-Control"] == "no-store"
    assert email in owner.get(f"/teams/{team}/settings").text
    invited = console.visitor()
    assert email in invited.get(link).text

    answer = invited.post(link, {"email": "other@example.com", "password": PASSWORD})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    (place,) = [member for member in await console.stores.people.members(team) if member.user.email == email]
    assert place.role is Role.OWNER
    assert invited.get(f"/teams/{team}/settings").status_code == 200
    assert console.visitor().get(link).status_code == 404
    assert link.rpartition("/")[2] not in owner.get(f"/teams/{team}/settings").text


async def test_invite_when_sent_again(console: Console, team: str, owner: Visitor) -> None:
    """A reload makes no second link."""
    path = f"/teams/{team}/invite"
    form = {"nonce": owner.nonce(path), "email": address(), "role": "member"}
    owner.post(path, form)

    assert owner.post(path, form).status_code == 303
    assert len(await console.stores.people.invites(team, now())) == 1


async def test_invite_when_user_exists(console: Console, team: str, owner: Visitor) -> None:
    """Who has an account signs in and joins with it, and nobody can make a second one of that address."""
    user = await console.user()
    path = f"/teams/{team}/invite"
    link = link_on(owner.post(path, {"nonce": owner.nonce(path), "email": user.email, "role": "member"}).text)

    refused = console.visitor().post(link, {"password": "some other long words"})
    assert refused.status_code == 422
    assert "Sign in first" in refused.text
    stranger = await console.signed_in(await console.user())
    assert stranger.post(link).status_code == 422
    visitor = await console.signed_in(user)
    assert "You are signed in as" in visitor.get(link).text
    answer = visitor.post(link)

    assert answer.headers["Location"] == f"/teams/{team}/settings"
    assert "You are in the team now." in visitor.get(f"/teams/{team}/settings").text


async def test_invite_when_withdrawn_or_expired(console: Console, team: str, owner: Visitor) -> None:
    """A withdrawn link, an old one and one of another kind are all the same: not there."""
    path = f"/teams/{team}/invite"
    link = link_on(owner.post(path, {"nonce": owner.nonce(path), "role": "member"}).text)
    (invite,) = await console.stores.people.invites(team, now())
    old = await console.stores.people.invite(team, Role.MEMBER, None, now() - timedelta(days=8), ACTOR)
    assert console.visitor().get(link.replace("/invite/", "/reset/")).status_code == 404
    assert console.visitor().get(link).status_code == 200

    owner.post(f"/teams/{team}/invites/{invite.digest.hex()}/withdraw")

    assert console.visitor().get(link).status_code == 404
    assert console.visitor().get(f"/invite/{old}").status_code == 404


async def test_invite_when_another_teams(console: Console, team: str, owner: Visitor) -> None:
    """An Owner cannot withdraw another team's invitation under their own team's address."""
    other = await console.team()
    await console.stores.people.invite(other, Role.MEMBER, None, now(), ACTOR)
    (invite,) = await console.stores.people.invites(other, now())

    for digest in (invite.digest.hex(), "nonsense"):
        assert owner.post(f"/teams/{team}/invites/{digest}/withdraw").status_code == 404
    assert len(await console.stores.people.invites(other, now())) == 1


async def test_member_when_changed_and_removed(console: Console, team: str, owner: Visitor) -> None:
    """A role and a place in the team are changed, and hold from the next request on."""
    user = await console.user({team: Role.MEMBER})
    member, path = await console.signed_in(user), f"/teams/{team}/members/{user.id}"
    assert member.get(f"/teams/{team}/tokens/new").status_code == 403

    owner.post(f"{path}/role", {"role": "owner"})
    assert member.get(f"/teams/{team}/tokens/new").status_code == 200
    owner.post(f"{path}/role", {"role": "member"})
    assert member.get(f"/teams/{team}/tokens/new").status_code == 403
    owner.post(f"{path}/remove")
    assert member.get(f"/teams/{team}/settings").status_code == 404
    assert owner.get(f"{path}/remove").status_code == 404


async def test_member_when_last_owner(console: Console, team: str, owner: Visitor, user: User) -> None:
    """The last Owner stays one: the page says why."""
    path = f"/teams/{team}/members/{user.id}"

    for answer in (owner.post(f"{path}/remove"), owner.post(f"{path}/role", {"role": "member"})):
        assert answer.status_code == 422
        assert "Nobody else owns the team" in answer.text
    assert [member.role for member in await console.stores.people.members(team)] == [Role.OWNER]


async def test_password_when_reset(console: Console, owner: Visitor, user: User) -> None:
    """An operator's link sets a new password and signs the user out everywhere; it works once."""
    operator = await console.signed_in(await console.user(operator=True))
    path = f"/operator/users/{user.id}/reset"
    link = link_on(operator.post(path, {"nonce": operator.nonce(path)}).text)
    assert owner.get("/account").status_code == 200

    visitor = console.visitor("127.0.0.4")
    answer = visitor.post(link, {"password": "quite another lot of words"})

    assert answer.headers["Location"] == "/sign-in"
    assert SESSION_COOKIE not in visitor.cookies
    assert owner.get("/account").status_code == 303
    assert visitor.sign_in(user.email).status_code == 422
    assert visitor.sign_in(user.email, "quite another lot of words").status_code == 303
    assert console.visitor().get(link).status_code == 404


async def test_operator_when_changing_users_and_teams(console: Console) -> None:
    """Teams are made, Owners invited, users disabled and enabled; an operator cannot lock themselves out."""
    account = await console.user(operator=True)
    operator, user = await console.signed_in(account), await console.user()
    visitor, slug = await console.signed_in(user), f"t{uuid.uuid4().hex[:12]}"

    assert operator.post("/operator/teams", {"slug": "Not A Slug"}).status_code == 422
    assert operator.post("/operator/teams", {"slug": slug}).status_code == 303
    assert operator.post("/operator/teams", {"slug": slug}).status_code == 422
    assert not (await console.stores.accounts.team(slug)).enabled
    path = f"/operator/teams/{slug}/invite"
    link = link_on(operator.post(path, {"nonce": operator.nonce(path), "email": user.email}).text)
    visitor.post(link)
    assert visitor.get(f"/teams/{slug}/tokens/new").status_code == 200
    assert operator.get(f"/teams/{slug}/settings").status_code == 404

    operator.post(f"/operator/users/{user.id}/disable")
    assert visitor.get("/account").status_code == 303
    operator.post(f"/operator/users/{user.id}/enable")
    assert console.visitor("127.0.0.5").sign_in(user.email).status_code == 303
    assert operator.post(f"/operator/users/{account.id}/disable").status_code == 422
    assert operator.get("/operator").status_code == 200


async def test_log_when_paged(console: Console, team: str, owner: Visitor) -> None:
    """A team's log shows its own entries only, newest first, page by page; the operators' shows all."""
    path, elsewhere = f"/teams/{team}/log", await console.team()
    for number in range(60):
        await console.stores.log.add(Action.ORIGINS_CHANGED, now(), ACTOR, team=team, subject=f"entry {number}.")
    await console.stores.log.add(Action.ORIGINS_CHANGED, now(), ACTOR, team=elsewhere, subject="of another team")

    first = owner.get(path).text
    older = re.findall(rf'href="({path}\?before=\d+)"', first)
    second = owner.get(older[0]).text

    assert [f"entry {number}." in first for number in (59, 10, 9)] == [True, True, False]
    assert [f"entry {number}." in second for number in (10, 9, 0)] == [False, True, True]
    assert "of another team" not in first + second
    assert re.search(r'<time datetime="[^"]+\+00:00">\d+\s[A-Z][a-z]{2}\s\d{4}, \d\d:\d\d\sUTC</time>', first)
    operator = await console.signed_in(await console.user(operator=True))
    assert "of another team" in operator.get("/operator/log").text
    for nonsense in ("x", "-1", "9" * 30, "²"):
        assert owner.get(f"{path}?before={nonsense}").status_code == 200
