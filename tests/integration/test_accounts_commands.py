"""The commands over the accounts database, on SQLite and PostgreSQL."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import app as events_app
from deploy.commands import team, token, user
from deploy.commands.accounts import Exit
from ingress.accounts.tokens import is_well_formed

Events = Callable[..., Result]


@pytest.fixture
def events(accounts_url: str) -> Events:
    """Runs `events team`, `events user` and `events token` on that database."""
    apps = {"team": team.app, "token": token.app, "user": user.app}

    def run(app: str, *arguments: str, accounts_url: str = accounts_url) -> Result:
        return CliRunner().invoke(apps[app], arguments, env={"ACCOUNTS_URL": accounts_url})

    return run


def test_team_when_created(events: Events) -> None:
    """A team is enabled at once; a second time is an error of its own, unless it may exist."""
    first = events("team", "create", "acme", "--json")
    second = events("team", "create", "acme")
    third = events("team", "create", "acme", "--if-missing", "--json")

    assert first.exit_code == 0
    assert json.loads(first.stdout)["enabled"] is True
    assert (second.exit_code, second.stdout) == (Exit.EXISTS, "")
    assert "acme exists" in second.stderr
    assert third.exit_code == 0
    assert third.stdout == first.stdout


@pytest.mark.parametrize("slug", ["", "Acme", "1a", "a-b", "warehouse", "a" * 64, "a; DROP TABLE teams"])
def test_team_when_slug_is_no_name(events: Events, slug: str) -> None:
    """A name that could not be a database's is refused as wrong usage."""
    assert events("team", "create", slug).exit_code == 2
    assert json.loads(events("team", "list", "--json").stdout) == []


def test_team_when_switched(events: Events) -> None:
    """A team can be switched off and on, and the list says so."""
    events("team", "create", "acme")

    assert json.loads(events("team", "disable", "acme", "--json").stdout)["enabled"] is False
    assert json.loads(events("team", "list", "--json").stdout)[0]["enabled"] is False
    assert json.loads(events("team", "enable", "acme", "--json").stdout)["enabled"] is True


def test_token_when_created(events: Events) -> None:
    """The token, and nothing else, is on standard output; the list shows it masked."""
    events("team", "create", "acme")

    created = events("token", "create", "acme", "--name", "web")

    secret = created.stdout.removesuffix("\n")
    assert is_well_formed(secret)
    assert "keep it safe" in created.stderr
    assert secret not in created.stderr
    listed = events("token", "list", "acme", "--json")
    assert json.loads(listed.stdout)[0]["shown"] == f"{secret[:8]}…{secret[-4:]}"
    assert json.loads(listed.stdout)[0]["name"] == "web"
    assert secret not in listed.stdout + events("token", "list", "acme").stdout


def test_token_when_revoked(events: Events) -> None:
    """A revoked token says when; revoking it again changes nothing."""
    events("team", "create", "acme")
    token_id = json.loads(events("token", "create", "acme", "--json").stdout)["id"]

    first = json.loads(events("token", "revoke", token_id, "--json").stdout)
    second = json.loads(events("token", "revoke", token_id, "--json").stdout)

    assert first["revoked_at"]
    assert second == first


def test_token_when_public_or_limited(events: Events) -> None:
    """Whether a token is public, and its own limit, are shown when it is made and in the list; by default neither."""
    events("team", "create", "acme")

    made = json.loads(events("token", "create", "acme", "--write-only", "--events-per-second", "50", "--json").stdout)
    events("token", "create", "acme")

    listed = json.loads(events("token", "list", "acme", "--json").stdout)
    assert (made["write_only"], made["events_per_second"]) == (True, 50)
    assert [(row["write_only"], row["events_per_second"]) for row in listed] == [(True, 50), (False, None)]


@pytest.mark.parametrize("limit", ["0", "-1", "x", str(2**31)])
def test_token_when_limit_is_no_limit(events: Events, limit: str) -> None:
    """A limit that is none is wrong usage, and makes no token."""
    events("team", "create", "acme")

    assert events("token", "create", "acme", "--events-per-second", limit).exit_code == 2
    assert json.loads(events("token", "list", "acme", "--json").stdout) == []


def test_origins_when_changed(events: Events) -> None:
    """Origins are allowed and removed, each once whatever its spelling, and belong to their team alone."""

    def allowed(slug: str, *changes: str) -> list[str]:
        return [row["origin"] for row in json.loads(events("team", "origins", slug, *changes, "--json").stdout)]

    for slug in ("acme", "other"):
        events("team", "create", slug)

    first = allowed("acme", "--allow", "https://Shop.example:443", "--allow", "http://localhost:3000")
    again = allowed("acme", "--allow", "https://shop.example")
    removed = allowed("acme", "--allow", "*", "--remove", "https://shop.example", "--remove", "https://never.example")

    assert first == again == ["http://localhost:3000", "https://shop.example"]
    assert removed == allowed("acme") == ["*", "http://localhost:3000"]
    assert allowed("other") == []


def test_origins_when_one_is_none(events: Events) -> None:
    """What is no origin is refused as wrong usage, with how to write one, and nothing is allowed."""
    events("team", "create", "acme")

    result = events("team", "origins", "acme", "--allow", "https://good.example", "--allow", "shop.example/path")

    assert result.exit_code == 2
    assert "scheme://host" in result.stderr
    assert json.loads(events("team", "origins", "acme", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("token", "create", "nobody"), Exit.NOT_FOUND),
        (("token", "list", "nobody"), Exit.NOT_FOUND),
        (("token", "revoke", "tok_nobody"), Exit.NOT_FOUND),
        (("team", "disable", "nobody"), Exit.NOT_FOUND),
        (("team", "origins", "nobody"), Exit.NOT_FOUND),
        (("team", "log", "nobody"), Exit.NOT_FOUND),
        (("token", "rotate", "tok_nobody", "--overlap-hours", "1"), Exit.NOT_FOUND),
        (("user", "invite", "nobody"), Exit.NOT_FOUND),
        (("user", "list", "nobody"), Exit.NOT_FOUND),
        (("user", "reset", "nobody@example.com"), Exit.NOT_FOUND),
        (("user", "role", "nobody", "nobody@example.com", "owner"), Exit.NOT_FOUND),
        (("user", "remove", "nobody", "nobody@example.com"), Exit.NOT_FOUND),
        (("user", "operator", "nobody@example.com"), Exit.NOT_FOUND),
        (("user", "disable", "nobody@example.com"), Exit.NOT_FOUND),
    ],
)
def test_exit_code_when_not_found(events: Events, arguments: tuple[str, ...], code: int) -> None:
    """What is not there has an exit code of its own, and a message on standard error only."""
    result = events(*arguments)

    assert (result.exit_code, result.stdout) == (code, "")
    assert "There is no" in result.stderr


@pytest.mark.parametrize(
    ("accounts_url", "code"),
    [
        ("mysql://root:hunter2@localhost/x", Exit.USAGE),
        ("nonsense", Exit.USAGE),
        ("postgresql://events:hunter2@127.0.0.1:1/events", Exit.UNAVAILABLE),
        ("sqlite:////proc/nowhere/accounts.db", Exit.UNAVAILABLE),
    ],
)
def test_exit_code_when_database_cannot_be_used(events: Events, accounts_url: str, code: int) -> None:
    """A wrong URL and an absent database are different errors, and neither tells the password."""
    result = events("team", "list", accounts_url=accounts_url)

    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize(
    ("noun", "verb"),
    [
        (noun, command.name)
        for noun, app in (("team", team.app), ("user", user.app), ("token", token.app))
        for command in app.registered_commands
    ],
)
def test_help_when_asked(noun: str, verb: str) -> None:
    """Every command's help begins with an example, and tells how it ends."""
    help_page = CliRunner().invoke(events_app, [noun, verb, "--help"])

    assert help_page.exit_code == 0
    assert f"Example: events {noun} {verb}" in help_page.stdout.split("╭")[0]
    assert "Exit codes: " in help_page.stdout.split("╭")[0]


def test_default_when_data_dir_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ACCOUNTS_URL the database is accounts.db in EVENTS_DATA_DIR."""
    monkeypatch.delenv("ACCOUNTS_URL", raising=False)
    monkeypatch.setenv("EVENTS_DATA_DIR", str(tmp_path / "here"))

    assert CliRunner().invoke(team.app, ["create", "acme"]).exit_code == 0
    assert (tmp_path / "here" / "accounts.db").exists()
