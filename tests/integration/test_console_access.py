"""Every address of the console lets in whom it is for, and nobody else."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from ingress.accounts.database import Database
from ingress.accounts.models import Role
from ingress.console.app import make_services
from ingress.console.routes import routes
from ingress.console.settings import ConsoleSettings
from schemas.registered import Subject
from tests.accounts import ACTOR
from tests.console import Console, Visitor, now

# What the table must say, a second time and by hand: who adds a row, or changes whom one is for, does it here too.
PUBLIC = {
    "GET /",
    "GET /static/{digest}/{name}",
    "GET /sign-in",
    "POST /sign-in",
    "GET /setup/{secret}",
    "POST /setup/{secret}",
    "GET /invite/{secret}",
    "POST /invite/{secret}",
    "GET /reset/{secret}",
    "POST /reset/{secret}",
}
SIGNED_IN = {
    "POST /sign-out",
    "GET /confirm",
    "POST /confirm",
    "GET /account",
    "POST /account/password",
    "POST /account/sessions/close",
    "POST /account/sessions/close-others",
}
MEMBERS = {
    "GET /teams/{team}",
    "GET /teams/{team}/settings",
    "GET /teams/{team}/log",
    "GET /teams/{team}/live",
    "GET /teams/{team}/live/event",
    "GET /teams/{team}/live/stream",
    "GET /teams/{team}/schemas",
    "GET /teams/{team}/schemas/{subject}",
}
# It does not end by itself; `test_live_stream.py` reads it.
ENDLESS = {"GET /teams/{team}/live/stream"}
OWNERS = {
    "POST /teams/{team}/request",
    "POST /teams/{team}/origins",
    "GET /teams/{team}/invite",
    "POST /teams/{team}/invite",
    "POST /teams/{team}/invites/{invite}/withdraw",
    "GET /teams/{team}/members/{user}/role",
    "POST /teams/{team}/members/{user}/role",
    "GET /teams/{team}/members/{user}/remove",
    "POST /teams/{team}/members/{user}/remove",
    "GET /teams/{team}/tokens/new",
    "POST /teams/{team}/tokens/new",
    "GET /teams/{team}/tokens/{token}/rotate",
    "POST /teams/{team}/tokens/{token}/rotate",
    "GET /teams/{team}/tokens/{token}/revoke",
    "POST /teams/{team}/tokens/{token}/revoke",
    "GET /teams/{team}/schemas/new",
    "POST /teams/{team}/schemas/new",
    "GET /teams/{team}/schemas/{subject}/{version}/delete",
    "POST /teams/{team}/schemas/{subject}/{version}/delete",
}
OPERATORS = {
    "GET /operator",
    "GET /operator/log",
    "POST /operator/teams",
    "POST /operator/teams/{slug}/enable",
    "GET /operator/teams/{slug}/disable",
    "POST /operator/teams/{slug}/disable",
    "GET /operator/teams/{slug}/invite",
    "POST /operator/teams/{slug}/invite",
    "GET /operator/users/{user}",
    "POST /operator/users/{user}/disable",
    "POST /operator/users/{user}/enable",
    "GET /operator/users/{user}/reset",
    "POST /operator/users/{user}/reset",
}
SCHEMA = '{"type": "record", "name": "SignUp", "fields": [{"name": "plan", "type": "string"}]}'
SIGN_IN, FORBIDDEN, NOT_FOUND = 303, 403, 404
# What a member, the Owner of another team, and an operator who is in no team are answered.
REFUSED_TO: dict[str, dict[str, int]] = {
    "member": dict.fromkeys(OWNERS | OPERATORS, FORBIDDEN),
    "stranger": dict.fromkeys(MEMBERS | OWNERS, NOT_FOUND) | dict.fromkeys(OPERATORS, FORBIDDEN),
    "owner": dict.fromkeys(OPERATORS, FORBIDDEN),
    "operator": dict.fromkeys(MEMBERS | OWNERS, NOT_FOUND),
}


def table() -> list[str]:
    """The rows as they are served."""
    services = make_services(ConsoleSettings(), Database("sqlite:///nowhere"))
    return [f"{route.method} {route.path}" for route in routes(services)]


class World(NamedTuple):
    """A team with all that a path can name, and a browser of each kind of visitor."""

    visitors: dict[str, Visitor]
    names: dict[str, str]
    database: Path

    def path(self, row: str) -> tuple[str, str]:
        """Method and path of a row, for this team."""
        method, path = row.split(" ")
        return method, path.format(**self.names)

    def kept(self) -> list[str]:
        """Everything in the database, but when a session was last seen."""
        with closing(sqlite3.connect(self.database)) as connection:
            return [line for line in connection.iterdump() if 'INTO "sessions"' not in line]


@pytest.fixture(scope="module")
async def world(console: Console) -> World:
    """Everybody is freshly signed in, so that nothing is refused for want of a password."""
    stores = console.stores
    team, other = await console.team(enabled=False), await console.team()
    people = {
        "owner": await console.user({team: Role.OWNER}),
        "member": await console.user({team: Role.MEMBER}),
        "stranger": await console.user({other: Role.OWNER}),
        "operator": await console.user(operator=True),
    }
    _, token = await stores.accounts.create_token(team, "a token", now(), ACTOR)
    await stores.schemas.register(Subject(team, "Signed Up"), SCHEMA, now(), ACTOR)
    await stores.people.invite(team, Role.MEMBER, None, now(), ACTOR)
    (invite,) = await stores.people.invites(team, now())
    visitors = {who: await console.signed_in(user) for who, user in people.items()}
    names = {
        "team": team,
        "slug": team,
        "user": people["member"].id,
        "token": token.id,
        "subject": f"{team}.Signed%20Up",
        "version": "1",
        "invite": invite.digest.hex(),
        "secret": "unknown",
        "digest": "unknown",
        "name": "console.css",
    }
    return World(visitors | {"anonymous": console.visitor()}, names, console.database)


def test_table_when_compared_with_this_page() -> None:
    """No row is without its line above, and no line without its row."""
    rows = table()

    assert sorted(rows) == sorted(PUBLIC | SIGNED_IN | MEMBERS | OWNERS | OPERATORS)


@pytest.mark.parametrize("row", sorted(set(table()) - PUBLIC))
def test_row_when_not_signed_in(world: World, row: str) -> None:
    """Who is not signed in is sent to the sign-in, and nothing is done."""
    before = world.kept()

    answer = world.visitors["anonymous"].request(*world.path(row))

    assert answer.status_code == SIGN_IN
    assert answer.headers["Location"].startswith("/sign-in?next=")
    assert world.kept() == before


@pytest.mark.parametrize(
    ("who", "row", "status"), [(who, row, status) for who, rows in REFUSED_TO.items() for row, status in rows.items()]
)
def test_row_when_not_allowed(world: World, who: str, row: str, status: int) -> None:
    """Who may not do it is refused, learns nothing of a team that is not theirs, and nothing is done."""
    before = world.kept()

    answer = world.visitors[who].request(*world.path(row))

    assert answer.status_code == status
    assert world.kept() == before
    if status == NOT_FOUND:
        nowhere = world.visitors[who].request(
            *World(world.visitors, world.names | {"team": "nowhere"}, world.database).path(row)
        )
        assert nowhere.text.replace("nowhere", world.names["team"]) == answer.text


@pytest.mark.parametrize(
    ("who", "row"),
    [
        (who, row)
        for who, rows in {
            "member": MEMBERS - ENDLESS,
            "owner": (MEMBERS - ENDLESS) | {row for row in OWNERS if row.startswith("GET")},
            "operator": {row for row in OPERATORS if row.startswith("GET")},
        }.items()
        for row in sorted(rows)
    ],
)
def test_page_when_allowed(world: World, who: str, row: str) -> None:
    """Whom a page is for gets it, so that the refusals above are not for everybody."""
    answer = world.visitors[who].request(*world.path(row))

    assert answer.status_code in {200, 303}
    assert not answer.headers.get("Location", "").startswith(("/sign-in", "/confirm"))


async def test_row_when_password_was_given_long_ago(console: Console, world: World) -> None:
    """What gives access asks for the password again after ten minutes, forms and what they post alike."""
    services = make_services(ConsoleSettings(), Database("sqlite:///nowhere"))
    rows = [f"{route.method} {route.path}" for route in routes(services) if route.confirmed]
    asked = set()

    for row in rows:
        who = "operator" if row in OPERATORS else "owner"
        visitor = world.visitors[who]
        with closing(sqlite3.connect(console.database)) as connection:
            connection.execute("UPDATE sessions SET confirmed_at = '2026-01-01 00:00:00'")
            connection.commit()
        before = world.kept()
        method, path = world.path(row)
        answer = visitor.request(method, path)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/confirm?next={path}")
        assert world.kept() == before
        asked.add(row)

    assert {"POST /teams/{team}/tokens/new", "POST /teams/{team}/tokens/{token}/rotate"} <= asked
    assert {"POST /teams/{team}/invite", "POST /operator/users/{user}/reset"} <= asked
