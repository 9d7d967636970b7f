"""Signing in, and staying so: sessions, throttling, and requests that are not their user's will."""

import sqlite3
import uuid
from contextlib import closing
from datetime import timedelta

from ingress.accounts.access_log import Action
from ingress.accounts.models import Role, User
from tests.accounts import ACTOR
from tests.console import PASSWORD, SESSION_COOKIE, Console, Visitor, now

NEW_PASSWORD = "quite another lot of words"


async def last_actions(console: Console, subject: str) -> list[str]:
    """What the access log has of somebody, newest first."""
    return [entry.action for entry in await console.stores.log.entries(None, limit=1000) if entry.subject == subject]


async def test_sign_in_when_right(console: Console, visitor: Visitor, user: User) -> None:
    """A right password opens a session whose cookie scripts cannot read and other sites cannot send."""
    answer = visitor.sign_in(f" {user.email.upper()} ")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    (cookie,) = [line for line in answer.raw.headers.getlist("Set-Cookie") if line.startswith(SESSION_COOKIE)]
    attributes = {part.strip() for part in cookie.split(";")[1:]}
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=Lax"} == attributes
    assert visitor.get("/account").status_code == 200
    assert (await last_actions(console, user.email))[0] == Action.SIGNED_IN


async def test_sign_in_when_wrong(console: Console, visitor: Visitor, user: User) -> None:
    """Unknown, disabled, wrong: the same answer, and each is in the access log with its address."""
    disabled = await console.user()
    await console.stores.people.change_user(disabled.id, now(), ACTOR, disabled=True)
    unknown = f"{uuid.uuid4().hex[:12]}@example.com"
    tries = [(user.email, "not the password"), (unknown, PASSWORD), (disabled.email, PASSWORD)]

    answers = {visitor.sign_in(email, password).text.replace(email, "EMAIL") for email, password in tries}

    assert len(answers) == 1
    assert "is not right" in answers.pop()
    assert SESSION_COOKIE not in visitor.cookies
    for email, _ in tries:
        entries = [entry for entry in await console.stores.log.entries(None, limit=1000) if entry.subject == email]
        assert (entries[0].action, entries[0].address) == (Action.SIGN_IN_FAILED, visitor.address)


async def test_sign_in_when_tried_often(console: Console, visitor: Visitor, user: User) -> None:
    """An address that guesses is told to wait, with the right password too; the user elsewhere is not."""
    answers = [visitor.sign_in(user.email, "not the password") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 30
    assert f"Wait {answers[-1].headers['Retry-After']} s" in answers[-1].text
    assert visitor.sign_in(user.email).status_code == 429
    assert console.visitor("127.0.0.2").sign_in(user.email).status_code == 303
    assert Action.SIGN_IN_LIMITED in await last_actions(console, user.email)


def test_sign_in_when_many_users_are_tried(visitor: Visitor) -> None:
    """An address that tries one password on many users is told to wait as well."""
    statuses: list[int] = []
    while len(statuses) < 60 and 429 not in statuses:
        statuses.append(visitor.sign_in(f"nobody{len(statuses)}@example.com").status_code)

    assert statuses[:20] == [422] * 20
    assert statuses[-1] == 429


async def test_session_when_prepared(visitor: Visitor, user: User) -> None:
    """A cookie that somebody put into the browser before is not the one that is signed in (fixation)."""
    visitor.cookies[SESSION_COOKIE] = "prepared"

    visitor.sign_in(user.email)

    assert visitor.cookies[SESSION_COOKIE] != "prepared"
    prepared = Visitor(visitor.base_url, cookies={SESSION_COOKIE: "prepared"})
    assert prepared.get("/account").status_code == 303


async def test_session_when_signed_in_again(console: Console, visitor: Visitor, user: User) -> None:
    """Signing in anew ends the session that the browser had."""
    visitor.sign_in(user.email)
    old = Visitor(visitor.base_url, cookies=dict(visitor.cookies))

    visitor.post("/sign-in", {"email": user.email, "password": PASSWORD})

    assert old.get("/account").status_code == 303
    assert visitor.get("/account").status_code == 200
    assert len(await console.stores.sessions.of_user(user.id, now())) == 1


async def test_session_when_signed_out(visitor: Visitor, user: User) -> None:
    """After signing out a copy of the cookie is worth nothing."""
    visitor.sign_in(user.email)
    copy = Visitor(visitor.base_url, cookies=dict(visitor.cookies))

    answer = visitor.post("/sign-out")

    assert answer.headers["Location"] == "/sign-in"
    assert SESSION_COOKIE not in visitor.cookies
    assert "You are signed out." in visitor.get("/sign-in").text
    assert "You are signed out." not in visitor.get("/sign-in").text
    assert copy.get("/account").status_code == 303


async def test_session_when_idle_or_old(console: Console, user: User) -> None:
    """A session ends after 12 hours without a request, and after 7 days anyway."""
    idle = await console.signed_in(user, now() - timedelta(hours=12))
    old = await console.signed_in(user, now() - timedelta(days=7))
    with closing(sqlite3.connect(console.database)) as connection:
        connection.execute(
            "UPDATE sessions SET last_seen_at = ? WHERE created_at < ?",
            (f"{now():%F %T.%f}", f"{now() - timedelta(days=1):%F %T.%f}"),
        )
        connection.commit()

    assert idle.get("/account").status_code == 303
    assert old.get("/account").status_code == 303


async def test_sessions_when_revoked(console: Console, visitor: Visitor, user: User) -> None:
    """The account page lists all sessions; each other can be ended, one or all, and nobody else's."""
    visitor.sign_in(user.email)
    others = [await console.signed_in(user) for _ in range(3)]
    stranger = await console.signed_in(await console.user())
    digests = [session.digest.hex() for session in await console.stores.sessions.of_user(user.id, now())]
    own = [
        session.digest.hex()
        for session in await console.stores.sessions.of_user(user.id, now())
        if session.user_agent != "a test"
    ]

    assert all(digest in visitor.get("/account").text for digest in digests if digest not in own)
    first = next(digest for digest in digests if digest not in own)
    assert stranger.post("/account/sessions/close", {"session": first}).status_code == 303
    assert len(await console.stores.sessions.of_user(user.id, now())) == 4

    visitor.post("/account/sessions/close", {"session": first})
    assert sorted(other.get("/account").status_code for other in others) == [200, 200, 303]
    visitor.post("/account/sessions/close-others")
    assert [other.get("/account").status_code for other in others] == [303, 303, 303]
    assert visitor.get("/account").status_code == 200


async def test_password_when_changed(console: Console, visitor: Visitor, user: User) -> None:
    """It needs the old one and a good new one, and ends all other sessions."""
    visitor.sign_in(user.email)
    other = await console.signed_in(user)
    wrong = visitor.post("/account/password", {"current": "not the password", "password": NEW_PASSWORD})
    weak = visitor.post("/account/password", {"current": PASSWORD, "password": "short"})
    assert (wrong.status_code, weak.status_code) == (422, 422)
    assert "at least 12 characters" in weak.text
    assert other.get("/account").status_code == 200

    answer = visitor.post("/account/password", {"current": PASSWORD, "password": NEW_PASSWORD})

    assert answer.status_code == 303
    assert visitor.get("/account").status_code == 200
    assert other.get("/account").status_code == 303
    assert console.visitor("127.0.0.3").sign_in(user.email, PASSWORD).status_code == 422
    assert console.visitor("127.0.0.3").sign_in(user.email, NEW_PASSWORD).status_code == 303
    assert Action.PASSWORD_CHANGED in await last_actions(console, user.email)


async def test_password_when_guessed_in_a_session(console: Console, user: User) -> None:
    """Who found a browser open cannot try passwords without end, neither to confirm nor to change it."""
    visitor = await console.signed_in(user)
    visitor.address = "127.0.9.9"

    answers = [visitor.post("/confirm", {"password": "a guess"}).status_code for _ in range(3)]
    answers += [visitor.post("/account/password", {"current": "a guess"}).status_code for _ in range(3)]

    assert answers == [422] * 5 + [429]
    assert Action.CONFIRM_FAILED in await last_actions(console, user.email)


async def test_confirm_when_right(console: Console, user: User) -> None:
    """The password leads back to where it was asked for, and holds for ten minutes."""
    (team,) = (membership.team for membership in await console.stores.people.memberships(user.id))
    visitor = await console.signed_in(user, now() - timedelta(minutes=11))
    form = f"/teams/{team}/tokens/new"
    assert visitor.get(form).headers["Location"] == f"/confirm?next={form}"
    assert form in visitor.get(f"/confirm?next={form}").text

    answer = visitor.post("/confirm", {"password": PASSWORD, "next": form})

    assert answer.headers["Location"] == form
    assert visitor.get(form).status_code == 200


async def test_user_when_disabled_or_removed(console: Console, user: User) -> None:
    """Neither waits for a session to end: the next request counts."""
    (team,) = (membership.team for membership in await console.stores.people.memberships(user.id))
    visitor = await console.signed_in(user)
    assert visitor.get(f"/teams/{team}/settings").status_code == 200
    second = await console.user({team: Role.OWNER})

    await console.stores.people.remove_member(team, user.id, now(), ACTOR)
    assert visitor.get(f"/teams/{team}/settings").status_code == 404
    await console.stores.people.change_user(user.id, now(), ACTOR, disabled=True)
    assert visitor.get("/account").status_code == 303
    assert second.id != user.id
