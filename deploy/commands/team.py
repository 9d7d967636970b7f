"""`events team`: teams, their web origins, how long their rows are kept, and the log of who changed what."""

import hashlib
import json
import secrets
from typing import Annotated

import typer

from deploy.commands import retention
from deploy.commands.accounts import Exit, Json, Row, Slug, end, help_text, now, print_all, print_one, run, say, text
from ingress.accounts.access_log import AccessLog
from ingress.accounts.actors import command_line
from ingress.accounts.errors import AlreadyExists
from ingress.accounts.models import AccessEntry, Team
from ingress.accounts.origins import parse_origin
from ingress.accounts.store import Accounts
from schemas.ddl import analyst_statements

_PASSWORD_BYTES = 24

app = typer.Typer(
    no_args_is_help=True, help="Example: events team create acme\n\nTeams: who owns events, and may send them."
)


def _origin(typed: str) -> str:
    try:
        return parse_origin(typed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command(
    "create",
    help=help_text("team create acme", "Make a team, enabled at once: its tokens may send events from now on."),
)
def create(
    slug: Slug,
    *,
    disabled: Annotated[
        bool, typer.Option("--disabled", help="an Owner has to ask for access, and you to enable it")
    ] = False,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="leave a team that exists as it is")] = False,
    as_json: Json = False,
) -> None:
    """Make a team."""
    made = True
    try:
        team = run(lambda database: Accounts(database).create_team(slug, now(), command_line(), enabled=not disabled))
    except AlreadyExists as error:
        if not if_missing:
            end(Exit.EXISTS, error)
        made = False
        team = run(lambda database: Accounts(database).team(slug))
    print_one(_team_row(team), as_json=as_json)
    if made:
        say(f"Next, make a token for it: events token create {slug}; or an Owner: events user invite {slug} --owner")


@app.command("list", help=help_text("team list --json", "List all teams, and since when which of them ask for access."))
def list_all(*, as_json: Json = False) -> None:
    """List all teams."""
    teams = run(lambda database: Accounts(database).teams())
    print_all([_team_row(team) for team in teams], as_json=as_json)


@app.command("enable", help=help_text("team enable acme", "Take the team's events (again), within two seconds."))
def enable(slug: Slug, *, as_json: Json = False) -> None:
    """Switch the Events API on."""
    _switch(slug, enabled=True, as_json=as_json)


@app.command(
    "disable", help=help_text("team disable acme", "Refuse the team's events, within two seconds; its tokens stay.")
)
def disable(slug: Slug, *, as_json: Json = False) -> None:
    """Switch the Events API off."""
    _switch(slug, enabled=False, as_json=as_json)


def _switch(slug: str, *, enabled: bool, as_json: bool) -> None:
    team = run(lambda database: Accounts(database).enable_team(slug, now(), command_line(), enabled=enabled))
    print_one(_team_row(team), as_json=as_json)


@app.command(
    "origins",
    help=help_text(
        "team origins acme --allow https://shop.example",
        "List the web origins whose pages may send the team's events, after allowing and removing some.  "
        "Without any, no web page may; programs that are no browsers need none.",
    ),
)
def origins(
    slug: Slug,
    *,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            parser=_origin, metavar="ORIGIN", help="scheme://host[:port], or * for every page; may be repeated"
        ),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(parser=_origin, metavar="ORIGIN", help="allow no longer; may be repeated")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change and list a team's web origins."""
    changes = allow or (), remove or ()
    found = run(lambda database: Accounts(database).change_origins(slug, *changes, now(), command_line()))
    print_all([{"team": slug, "origin": origin} for origin in found], as_json=as_json)
    if allow or remove:
        say("It takes effect within two seconds.")


@app.command(
    "grants",
    help=help_text(
        "team grants acme > grants.sql",
        "Print what lets the team's analysts in on a ClickHouse server with access control, one statement a line: "
        "a user with a new password, who reads the team's own database and nothing else, within limits.  "
        "Nothing is sent to ClickHouse.  Run again, it replaces the password.",
    ),
)
def grants(slug: Slug, *, as_json: Json = False) -> None:
    """Print the DDL for a team's analysts."""
    run(lambda database: Accounts(database).team(slug))
    # With as many bits as this has, its plain hash needs no salt.
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    statements = analyst_statements(slug, hashlib.sha256(password.encode()).hexdigest())
    if as_json:
        typer.echo(json.dumps({"user": f"{slug}_analyst", "password": password, "statements": statements}))
        return
    for statement in statements:
        typer.echo(f"{statement};")
    say(f"User {slug}_analyst, password {password}: it is shown this once, keep it safe.")


app.command("retention", help=retention.HELP)(retention.retention)


@app.command("log", help=help_text("team log acme --limit 20", "Show who changed what in the team, newest first."))
def log(
    slug: Annotated[str | None, typer.Argument(metavar="TEAM", help="the team's name", show_default="all")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="the most entries")] = 50,
    before: Annotated[int | None, typer.Option(min=1, help="only those before the entry of this id")] = None,
    as_json: Json = False,
) -> None:
    """Show the access log."""
    if slug is not None:
        run(lambda database: Accounts(database).team(slug))
    entries = run(lambda database: AccessLog(database).entries(slug, before=before, limit=limit))
    print_all([_entry_row(entry) for entry in entries], as_json=as_json)


def _team_row(team: Team) -> Row:
    return {
        "slug": team.slug,
        "enabled": team.enabled,
        "created_at": text(team.created_at),
        "requested_at": text(team.requested_at),
        "requested_by": team.requested_by,
    }


def _entry_row(entry: AccessEntry) -> Row:
    return {
        "id": entry.id,
        "at": text(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "team": entry.team,
        "subject": entry.subject,
        "detail": entry.detail,
        "address": entry.address,
    }
