"""What the console takes as a request, what every answer carries, and what it says when its database is away."""

from pathlib import Path

import pytest
import requests

from ingress.accounts.access_log import Action
from ingress.accounts.models import User
from tests.accounts import open_stores
from tests.console import PASSWORD, Console, Visitor, running_console


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "", "Origin": "null"},
        {"Sec_Fetch_Site": ""},
    ],
)
async def test_post_when_from_elsewhere(console: Console, user: User, headers: dict[str, str]) -> None:
    """A form that another page sends with the user's cookie does nothing, at the sign-in too."""
    (team,) = (membership.team for membership in await console.stores.people.memberships(user.id))
    visitor = await console.signed_in(user)

    for path in (f"/teams/{team}/origins", "/sign-out", "/sign-in"):
        answer = visitor.post(path, {"allow": "https://evil.example"}, **headers)
        assert answer.status_code == 403
        assert "was not sent from a page of the console" in answer.text
    assert visitor.get("/account").status_code == 200
    assert await console.stores.accounts.origins(team) == []


async def test_post_when_browser_is_old(console: Console, user: User) -> None:
    """Without Sec-Fetch-Site, our own Origin is good."""
    visitor = await console.signed_in(user)

    assert visitor.post("/sign-out", Sec_Fetch_Site="", Origin=console.base_url).status_code == 303


def test_host_when_not_ours(console: Console) -> None:
    """A name that somebody else lets lead here gets no page; the error says what to set."""
    answer = console.visitor().get("/sign-in", Host="evil.example")

    assert answer.status_code == 421
    assert "CONSOLE_URL" in answer.text


@pytest.mark.parametrize(
    ("form", "content_type", "status"),
    [
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
        (b"email=%ff&password=%00", "application/x-www-form-urlencoded", 422),
        (b"email=\xff", "application/x-www-form-urlencoded", 400),
        (b"email=x", "application/x-www-form-urlencoded; charset=nonsense", 400),
    ],
)
def test_form_when_not_one_of_ours(visitor: Visitor, form: bytes, content_type: str, status: int) -> None:
    """What is too large or no form is refused with a page, and is no error of ours."""
    answer = visitor.post("/sign-in", form, Content_Type=content_type)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_headers_when_answered(console: Console) -> None:
    """Every answer carries the policy, errors, redirects and assets too; pages are kept nowhere, assets for ever."""
    visitor = console.visitor()
    style = visitor.get("/sign-in").text.partition('rel="stylesheet" href="')[2].partition('"')[0]

    for path, status in (("/sign-in", 200), ("/nowhere", 404), ("/account", 303), (style, 200)):
        answer = visitor.get(path)
        assert answer.status_code == status
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert visitor.get("/sign-in").headers["Cache-Control"] == "no-store"
    assert "immutable" in visitor.get(style).headers["Cache-Control"]
    assert visitor.get(style, If_None_Match=visitor.get(style).headers["ETag"]).status_code == 304


async def test_pages_when_database_is_gone(tmp_path: Path) -> None:
    """Who is signed in gets a page that says to wait; when the database is back, so are the pages."""
    database = tmp_path / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        with running_console(database, stores) as console:
            visitor = await console.signed_in(await console.user())
            content = database.read_bytes()
            database.unlink()
            database.mkdir()
            try:
                answer = visitor.get("/account")
                assert answer.status_code == 503
                assert answer.headers["Retry-After"]
                assert visitor.get("/sign-in").status_code == 503
                assert console.visitor().get("/sign-in").status_code == 200
            finally:
                database.rmdir()
                database.write_bytes(content)


async def test_address_when_behind_a_proxy(tmp_path: Path) -> None:
    """The visitor's address is what the proxy appended, and not what the visitor made up before it."""
    database = tmp_path / "accounts.db"
    async with open_stores(f"sqlite:///{database}") as stores:
        with running_console(database, stores, console_behind_proxy=True) as console:
            form = {"email": "nobody@example.com", "password": PASSWORD}
            console.visitor().post("/sign-in", form, X_Forwarded_For="192.0.2.1, 198.51.100.7")

            (entry,) = await stores.log.entries(None)
            assert (entry.action, entry.address) == (Action.SIGN_IN_FAILED, "198.51.100.7")


def test_operations_when_asked(console: Console) -> None:
    """Its own port tells that it is ready, and counts what was tried."""
    assert requests.get(f"{console.operations_url}/readyz", timeout=5).status_code == 200
    text = requests.get(f"{console.operations_url}/metrics", timeout=5).text
    assert 'eventsapi_http_requests_total{route="/sign-in",status="200"}' in text
