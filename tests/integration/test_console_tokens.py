"""Tokens on the settings page: shown once, rotated, revoked; and the way to being enabled."""

import html
import json
import re
import shlex

import pytest

from ingress.accounts.access_log import Action
from ingress.accounts.models import Role
from ingress.accounts.tokens import is_well_formed
from tests.accounts import ACTOR
from tests.console import Console, Visitor, now

TOKEN = re.compile(r"evt_[0-9A-Za-z]{38}")


class Shop:
    """A team, and a browser in which its Owner is signed in."""

    def __init__(self, console: Console, team: str, owner: Visitor, email: str) -> None:
        self.console = console
        self.team = team
        self.owner = owner
        self.email = email
        self.new = f"/teams/{team}/tokens/new"
        self.settings = f"/teams/{team}/settings"

    def create(self, **fields: str) -> str:
        """Make a token by the form; the page with its secret."""
        form = {"nonce": self.owner.nonce(self.new), "name": "shop", "expiry": "never"} | fields
        answer = self.owner.post(self.new, form)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def actions(self) -> list[str]:
        """What the access log tells of the team, newest first."""
        return [entry.action for entry in await self.console.stores.log.entries(self.team)]


@pytest.fixture
async def shop(console: Console) -> Shop:
    """One that no other test has."""
    team = await console.team()
    user = await console.user({team: Role.OWNER})
    return Shop(console, team, await console.signed_in(user), user.email)


def secret_on(page: str) -> str:
    """The token that a page shows."""
    (secret,) = set(TOKEN.findall(page))
    assert is_well_formed(secret)
    return str(secret)


async def test_token_when_created(shop: Shop) -> None:
    """The answer to the POST shows it with a line that sends an event; the list shows who made it, and its ends."""
    page = shop.create()
    secret = secret_on(page)

    line = html.unescape(page.partition("curl ")[2].partition("</pre>")[0])
    words = shlex.split("curl " + line.replace("\\\n", " "))
    assert f"X-Auth-Token: {secret}" in words
    assert json.loads(words[-1])["type"] == "event"
    assert f"/teams/{shop.team}/live" in page
    (live,) = [live for live in await shop.console.stores.accounts.live_tokens() if live.team == shop.team]
    assert live.event_names == frozenset()
    listed = shop.owner.get(shop.settings).text
    assert f"{secret[:8]}…{secret[-4:]}" in listed
    assert f"by {shop.email}" in listed
    assert (await shop.actions())[0] == Action.TOKEN_CREATED


async def test_secret_when_page_is_left(shop: Shop) -> None:
    """The secret stands on no second page, in no file of the database and in no line of the log."""
    answer_headers = shop.owner.post(shop.new, {"nonce": shop.owner.nonce(shop.new), "name": "shop", "expiry": "never"})
    secret = secret_on(answer_headers.text)
    assert answer_headers.headers["Cache-Control"] == "no-store"
    assert not answer_headers.raw.headers.getlist("Set-Cookie")

    (token,) = await shop.console.stores.accounts.tokens(shop.team)
    pages = [shop.settings, shop.new, f"/teams/{shop.team}/log", f"/teams/{shop.team}/tokens/{token.id}/revoke"]
    for path in pages:
        assert secret not in shop.owner.get(path).text
    files = list(shop.console.database.parent.iterdir())
    assert shop.console.log in files
    for file in files:
        assert secret.encode() not in file.read_bytes(), file
        assert secret[8:-4].encode() not in file.read_bytes(), file


async def test_form_when_sent_again(shop: Shop) -> None:
    """A reload of the answer makes no second token, and shows no secret."""
    form = {"nonce": shop.owner.nonce(shop.new), "name": "shop", "expiry": "never"}
    shop.owner.post(shop.new, form)

    again = shop.owner.post(shop.new, form)

    assert (again.status_code, again.headers["Location"]) == (303, f"{shop.settings}#events-api")
    assert "nothing was done a second time" in shop.owner.get(shop.settings).text
    assert len(await shop.console.stores.accounts.tokens(shop.team)) == 1


async def test_form_when_stale(shop: Shop) -> None:
    """A form of another session, or made up, makes nothing and keeps what was typed."""
    for nonce in (
        "",
        "1.2.3",
        (await shop.console.signed_in(await shop.console.user({shop.team: Role.OWNER}))).nonce(shop.new),
    ):
        answer = shop.owner.post(shop.new, {"nonce": nonce, "name": "my shop", "expiry": "30"})
        assert answer.status_code == 422
        assert 'value="my shop"' in answer.text
        assert 'value="30" selected' in answer.text
    assert await shop.console.stores.accounts.tokens(shop.team) == []


async def test_token_when_it_may_change_schemas(shop: Shop) -> None:
    """The form's choice is the token's, and is shown; with that for web pages, it is refused in words."""
    shop.create(schemas="yes")
    form = {"nonce": shop.owner.nonce(shop.new), "name": "x", "expiry": "never", "schemas": "yes", "write_only": "yes"}

    refused = shop.owner.post(shop.new, form)

    (token,) = await shop.console.stores.accounts.tokens(shop.team)
    assert token.schemas
    assert "changes schemas" in shop.owner.get(shop.settings).text
    assert refused.status_code == 422
    assert "registers no schemas" in refused.text


async def test_token_when_limited(shop: Shop) -> None:
    """Expiry, events, rate and web pages: each choice of the form is the token's, and is shown."""
    fields = {"expiry": "30", "event_names": "Signed Up\r\nLeft", "events_per_second": "7", "write_only": "yes"}

    page = shop.create(**fields)

    (token,) = await shop.console.stores.accounts.tokens(shop.team)
    names = await shop.console.stores.accounts.event_names(shop.team)
    assert (token.write_only, token.events_per_second) == (True, 7)
    assert names[token.id] == {"Signed Up", "Left"}
    assert token.expires_at is not None
    assert 29 <= (token.expires_at - now()).days <= 30
    assert "&#34;Left&#34;" in page
    listed = shop.owner.get(shop.settings).text
    assert "Left, Signed Up" in listed
    assert "up to 7 a second" in listed


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "Give the token a name"),
        ({"name": "x" * 101}, "up to 100 characters"),
        ({"events_per_second": "lots"}, "whole number"),
        ({"event_names": "x" * 201}, "1 to 200 characters"),
        ({"expiry": "2000"}, "Choose when"),
    ],
)
async def test_token_when_form_is_wrong(shop: Shop, fields: dict[str, str], words: str) -> None:
    """The form comes back with what was typed and what is wrong, and can be sent again."""
    form = {"name": "a name", "expiry": "never"} | fields
    answer = shop.owner.post(shop.new, form | {"nonce": shop.owner.nonce(shop.new)})

    assert answer.status_code == 422
    assert words in answer.text
    nonce = answer.text.partition('name="nonce" value="')[2].partition('"')[0]
    assert shop.owner.post(shop.new, {"name": "good", "expiry": "never", "nonce": nonce}).status_code == 200


async def test_markup_when_typed(shop: Shop) -> None:
    """What users type is text on every page that shows it."""
    evil = "<script>alert(1)</script>\"'"
    shop.create(name=evil)
    (token,) = await shop.console.stores.accounts.tokens(shop.team)

    for path in (shop.settings, f"/teams/{shop.team}/log", f"/teams/{shop.team}/tokens/{token.id}/rotate"):
        text = shop.owner.get(path).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize(("overlap", "hours"), [("none", 0), ("1h", 1), ("24h", 24), ("7d", 168)])
async def test_token_when_rotated(shop: Shop, overlap: str, hours: int) -> None:
    """The successor is shown once; the old token works for the overlap that was chosen."""
    old_secret = secret_on(shop.create())
    (old,) = await shop.console.stores.accounts.tokens(shop.team)
    path = f"/teams/{shop.team}/tokens/{old.id}/rotate"
    form = {"nonce": shop.owner.nonce(path), "overlap": overlap}

    secret = secret_on(shop.owner.post(path, form).text)

    assert secret != old_secret
    old, new = await shop.console.stores.accounts.tokens(shop.team)
    assert (new.replaces, new.name) == (old.id, "shop")
    if hours:
        assert old.expires_at is not None
        assert abs((old.expires_at - now()).total_seconds() - hours * 3600) < 60
    else:
        assert old.revoked_at is not None
    assert shop.owner.post(path, form).status_code == 303
    assert len(await shop.console.stores.accounts.tokens(shop.team)) == 2
    again = shop.owner.post(path, {"nonce": shop.owner.nonce(path), "overlap": "1h"})
    assert again.status_code == 422
    assert (await shop.actions())[0] == Action.TOKEN_ROTATED


async def test_token_when_revoked(shop: Shop) -> None:
    """The page says what will happen; afterwards the token is among the revoked ones."""
    shop.create()
    (token,) = await shop.console.stores.accounts.tokens(shop.team)
    path = f"/teams/{shop.team}/tokens/{token.id}/revoke"
    assert "Within two seconds" in shop.owner.get(path).text

    assert shop.owner.post(path).status_code == 303

    listed = shop.owner.get(shop.settings).text
    assert "Revoked tokens (1)" in listed
    assert f"{path}" not in listed
    assert (await shop.actions())[0] == Action.TOKEN_REVOKED


async def test_token_when_another_teams(console: Console, shop: Shop) -> None:
    """An Owner of one team cannot touch another's token under their own team's address."""
    other = await console.team()
    _, token = await console.stores.accounts.create_token(other, "theirs", now(), ACTOR)

    for action in ("rotate", "revoke"):
        path = f"/teams/{shop.team}/tokens/{token.id}/{action}"
        form = {"overlap": "none", "nonce": shop.owner.nonce(shop.new)}
        assert shop.owner.get(path).status_code == 404
        assert shop.owner.post(path, form).status_code == 404
    (untouched,) = await console.stores.accounts.tokens(other)
    assert (untouched.revoked_at, untouched.expires_at) == (None, None)


async def test_team_when_requested_and_enabled(console: Console) -> None:
    """An Owner asks, the operator sees who asked and enables; a token that is made before says that it is too early."""
    team = await console.team(enabled=False)
    user = await console.user({team: Role.OWNER})
    shop = Shop(console, team, await console.signed_in(user), user.email)
    operator = await console.signed_in(await console.user(operator=True))
    assert "Request access" in shop.owner.get(shop.settings).text
    assert "the answer is 403" in shop.create()

    shop.owner.post(f"/teams/{team}/request")
    page = shop.owner.get(shop.settings).text
    assert f"Requested by {user.email}" in page
    assert "Request access" not in page
    assert f"by {user.email}" in operator.get("/operator").text
    operator.post(f"/operator/teams/{team}/enable")

    assert (await console.stores.accounts.team(team)).enabled
    assert "Requested by" not in shop.owner.get(shop.settings).text
    assert (await shop.actions())[:3] == [Action.TEAM_ENABLED, Action.TEAM_REQUESTED, Action.TOKEN_CREATED]
    assert "Within two seconds" in operator.get(f"/operator/teams/{team}/disable").text
    operator.post(f"/operator/teams/{team}/disable")
    assert not (await console.stores.accounts.team(team)).enabled


async def test_origins_when_changed(shop: Shop) -> None:
    """Origins are allowed and removed; what is none is said so beside the field."""
    path = f"/teams/{shop.team}/origins"

    wrong = shop.owner.post(path, {"allow": "shop.example/path"})
    assert wrong.status_code == 422
    assert "is no origin" in wrong.text
    shop.owner.post(path, {"allow": "https://Shop.example:443"})
    assert await shop.console.stores.accounts.origins(shop.team) == ["https://shop.example"]
    shop.owner.post(path, {"remove": "https://shop.example"})
    assert await shop.console.stores.accounts.origins(shop.team) == []


async def test_settings_when_seen_by_a_member(console: Console, shop: Shop) -> None:
    """A Member sees members, tokens and origins, and not one button that changes them."""
    shop.create()
    shop.owner.post(f"/teams/{shop.team}/origins", {"allow": "https://shop.example"})
    member = await console.signed_in(await console.user({shop.team: Role.MEMBER}))

    seen = member.get(shop.settings).text

    assert shop.email in seen
    assert "https://shop.example" in seen
    main = seen.partition("<main")[2]
    assert "<form" not in main
    assert "/tokens/" not in main
    assert "<form" in shop.owner.get(shop.settings).text.partition("<main")[2]
