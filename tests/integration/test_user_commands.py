"""`events user`, and what the access log tells of the command line, on SQLite and PostgreSQL."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner, Result

from deploy.commands import team, token, user
from deploy.commands.accounts import Exit
from ingress.accounts.tokens import is_well_formed
from tests.accounts import open_stores

CONSOLE = "https://console.example"
Events = Callable[..., Result]


@pytest.fixture
def events(accounts_url: str) -> Events:
    """Runs the commands on a database with the team acme."""
    apps = {"team": team.app, "token": token.app, "user": user.app}

    def run(app: str, *arguments: str, **env: str) -> Result:
        given = {"ACCOUNTS_URL": accounts_url, "CONSOLE_URL": CONSOLE, **env}
        return CliRunner().invoke(apps[app], arguments, env=given)

    run("team", "create", "acme")
    return run


def accept(accounts_url: str, link: str, email: str) -> None:
    """Do what the page behind the link does."""

    async def use() -> None:
        async with open_stores(accounts_url) as stores:
            secret = link.strip().rpartition("/")[2]
            await stores.people.accept(secret, email, "hash", datetime.now(UTC), None)

    asyncio.run(use())


def rows(result: Result) -> list[dict[str, object]]:
    """What `--json` printed."""
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_setup_when_asked(accounts_url: str, events: Events) -> None:
    """The link, and nothing else, is on standard output; it makes an operator who owns the only team, once."""
    first, second = events("user", "setup"), events("user", "setup")
    assert second.stdout.startswith(f"{CONSOLE}/setup/")
    assert len(second.stdout.splitlines()) == 1
    assert second.stdout.strip() not in second.stderr
    assert first.stdout != second.stdout

    accept(accounts_url, second.stdout, "ann@example.com")

    assert rows(events("user", "list", "--json"))[0]["operator"] is True
    assert rows(events("user", "list", "acme", "--json"))[0]["role"] == "owner"
    third = events("user", "setup")
    assert (third.exit_code, third.stdout) == (Exit.EXISTS, "")


def test_setup_when_there_are_several_teams(accounts_url: str, events: Events) -> None:
    """With several teams, the one that was named is theirs, and without a name none."""
    events("team", "create", "other")

    accept(accounts_url, events("user", "setup", "other").stdout, "ann@example.com")

    assert [len(rows(events("user", "list", name, "--json"))) for name in ("acme", "other")] == [0, 1]


def test_user_when_changed(accounts_url: str, events: Events) -> None:
    """Users are invited, change their role, are made operators, are kept out and let in, and leave."""
    for arguments, email in ((("--owner",), "ann@example.com"), (("--email", "Bob@example.com"), "bob@example.com")):
        link = events("user", "invite", "acme", *arguments)
        assert link.stdout.startswith(f"{CONSOLE}/invite/")
        accept(accounts_url, link.stdout, email)

    def roles() -> dict[object, object]:
        return {row["email"]: row["role"] for row in rows(events("user", "list", "acme", "--json"))}

    assert roles() == {"ann@example.com": "owner", "bob@example.com": "member"}
    assert events("user", "invite", "acme", "--email", "bob@example.com").exit_code == Exit.EXISTS
    assert events("user", "remove", "acme", "ann@example.com").exit_code == Exit.LAST_OWNER
    assert events("user", "role", "acme", "bob@example.com", "owner").exit_code == 0
    assert events("user", "remove", "acme", "ANN@example.com").exit_code == 0
    assert roles() == {"bob@example.com": "owner"}
    assert json.loads(events("user", "operator", "bob@example.com", "--json").stdout)["operator"] is True
    assert json.loads(events("user", "operator", "bob@example.com", "--withdraw", "--json").stdout)["operator"] is False
    assert json.loads(events("user", "disable", "bob@example.com", "--json").stdout)["disabled_at"]
    assert json.loads(events("user", "enable", "bob@example.com", "--json").stdout)["disabled_at"] is None
    assert events("user", "reset", "bob@example.com").stdout.startswith(f"{CONSOLE}/reset/")


@pytest.mark.parametrize("email", ["nonsense", ""])
def test_invite_when_address_is_none(events: Events, email: str) -> None:
    """What is no address is wrong usage, and makes no link."""
    result = events("user", "invite", "acme", "--email", email)

    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "write name@host" in result.stderr


def test_link_when_console_is_misconfigured(events: Events) -> None:
    """Where no link could be printed, none is made."""
    result = events("user", "invite", "acme", CONSOLE_URL="ftp://nowhere")

    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "CONSOLE_URL" in result.stderr
    assert "invite_created" not in {row["action"] for row in rows(events("team", "log", "--json"))}


def test_token_when_rotated(events: Events) -> None:
    """Rotating prints the successor's secret alone, with the scope of the old one; twice is refused."""
    made = json.loads(events("token", "create", "acme", "--event", "Paid", "--event", "Signed up", "--json").stdout)

    rotated = events("token", "rotate", str(made["id"]), "--overlap-hours", "1.5")

    assert is_well_formed(rotated.stdout.removesuffix("\n"))
    old, new = rows(events("token", "list", "acme", "--json"))
    assert old["events"] == new["events"] == made["events"] == "Paid, Signed up"
    assert (new["replaces"], old["revoked_at"]) == (old["id"], None)
    left = datetime.fromisoformat(str(old["expires_at"])) - datetime.fromisoformat(str(new["created_at"]))
    assert left.total_seconds() == 5400
    assert events("token", "rotate", str(made["id"]), "--overlap-hours", "0").exit_code == Exit.EXISTS
    assert events("token", "revoke", str(new["id"])).exit_code == 0
    assert events("token", "rotate", str(new["id"]), "--overlap-hours", "0").exit_code == Exit.USAGE


def test_log_when_changed_by_command(events: Events) -> None:
    """Each change is in the log with who ran the command; a team made without access is listed so."""
    events("team", "create", "new", "--disabled")
    events("team", "enable", "new")
    secret = events("token", "create", "new").stdout.strip()

    log = events("team", "log", "new", "--json")

    assert [row["action"] for row in rows(log)] == ["token_created", "team_enabled", "team_created"]
    assert all(str(row["actor"]).startswith("command line (") for row in rows(log))
    assert secret[8:] not in log.stdout
    assert [row["team"] for row in rows(events("team", "log", "--limit", "4", "--json"))] == ["new"] * 3 + ["acme"]
