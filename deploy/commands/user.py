"""`events user`: who signs in to the console, with which role in which team.

Links go to standard output alone: whoever has one may do once what it is for.
"""

from typing import Annotated

import typer

from deploy.commands.accounts import (
    Exit,
    Json,
    Row,
    Slug,
    end,
    help_text,
    now,
    print_all,
    print_one,
    run,
    run_once,
    say,
    text,
)
from ingress.accounts.actors import command_line
from ingress.accounts.database import Database
from ingress.accounts.links import link_url
from ingress.accounts.models import LinkKind, Role, User
from ingress.accounts.people import Member, People
from ingress.accounts.store import Accounts
from ingress.console.settings import ConsoleSettings
from schemas.settings import SettingsError, load

app = typer.Typer(
    no_args_is_help=True,
    help="Example: events user invite acme --owner\n\nUsers: who signs in to the console, and their teams.",
)
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="the user's address")]


@app.command(
    "setup",
    help=help_text(
        "user setup",
        "Print the link that makes the first user: an operator, and Owner of a team.  It works once and for a day, "
        "and older ones no longer.",
    ),
)
def setup(
    slug: Annotated[
        str | None, typer.Argument(metavar="TEAM", help="which they will own", show_default="the only one there is")
    ] = None,
) -> None:
    """Print the first user's link."""
    console_url = _console_url()

    async def secret(database: Database) -> str | None:
        teams = [team.slug for team in await Accounts(database).teams()]
        team = slug or (teams[0] if len(teams) == 1 else None)
        return await People(database).set_up(now(), command_line(), team=team)

    found = run(secret)
    if found is None:
        end(
            Exit.EXISTS, "There is a user already.  For another: events user invite; a lost password: events user reset"
        )
    _print_link(console_url, LinkKind.SETUP, found)


@app.command(
    "invite",
    help=help_text(
        "user invite acme --owner --email ann@example.com",
        "Print a link that leads into the team; nothing is mailed.  It works once and for a week.",
    ),
)
def invite(
    slug: Slug,
    *,
    owner: Annotated[bool, typer.Option("--owner", help="as an Owner: they make tokens and invite others")] = False,
    email: Annotated[str | None, typer.Option(help="whom it is for; nobody else can take it then")] = None,
) -> None:
    """Print a link into a team."""
    console_url, role = _console_url(), Role.OWNER if owner else Role.MEMBER
    secret = run_once(lambda database: People(database).invite(slug, role, email, now(), command_line()))
    _print_link(console_url, LinkKind.INVITE, secret)


@app.command(
    "reset",
    help=help_text(
        "user reset ann@example.com",
        "Print a link with which the user chooses a new password.  It works once and for an hour; taking it signs them "
        "out everywhere.",
    ),
)
def reset(email: Email) -> None:
    """Print a link for a new password."""
    console_url = _console_url()
    secret = run(lambda database: People(database).reset(email, now(), command_line()))
    _print_link(console_url, LinkKind.RESET, secret)


@app.command("list", help=help_text("user list acme --json", "List all users, or those of a team with their roles."))
def list_all(
    slug: Annotated[str | None, typer.Argument(metavar="TEAM", help="only of this team", show_default="all")] = None,
    *,
    as_json: Json = False,
) -> None:
    """List users."""
    if slug is None:
        print_all([_user_row(user) for user in run(lambda database: People(database).users())], as_json=as_json)
    else:
        members = run(lambda database: People(database).members(slug))
        print_all([_member_row(slug, member) for member in members], as_json=as_json)


@app.command(
    "role", help=help_text("user role acme ann@example.com owner", "Make a member an Owner, or a Member again.")
)
def role(slug: Slug, email: Email, role: Annotated[Role, typer.Argument(help="what they become")]) -> None:
    """Change a member's role."""

    async def change(database: Database) -> None:
        people = People(database)
        user = await people.user_by_email(email)
        await people.change_role(slug, user.id, role, now(), command_line())

    run(change)
    say(f"{email} is {role} of {slug}.")


@app.command("remove", help=help_text("user remove acme ann@example.com", "Take a user out of a team."))
def remove(slug: Slug, email: Email) -> None:
    """Take a user out of a team."""

    async def change(database: Database) -> None:
        people = People(database)
        user = await people.user_by_email(email)
        await people.remove_member(slug, user.id, now(), command_line())

    run(change)
    say(f"{email} is no longer in {slug}.  The tokens that they made stay: see `events token list {slug}`.")


@app.command(
    "operator",
    help=help_text("user operator ann@example.com", "Let a user enable teams and invite Owners, or no longer."),
)
def operator(
    email: Email,
    *,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="no longer")] = False,
    as_json: Json = False,
) -> None:
    """Make a user an operator."""
    _change(email, operator=not withdraw, as_json=as_json)


@app.command(
    "disable", help=help_text("user disable ann@example.com", "Sign a user out everywhere, and let them in no more.")
)
def disable(email: Email, *, as_json: Json = False) -> None:
    """Keep a user out."""
    _change(email, disabled=True, as_json=as_json)


@app.command("enable", help=help_text("user enable ann@example.com", "Let a user in again who was disabled."))
def enable(email: Email, *, as_json: Json = False) -> None:
    """Let a user in again."""
    _change(email, disabled=False, as_json=as_json)


def _change(email: str, *, operator: bool | None = None, disabled: bool | None = None, as_json: bool) -> None:
    async def change(database: Database) -> User:
        people = People(database)
        user = await people.user_by_email(email)
        return await people.change_user(user.id, now(), command_line(), operator=operator, disabled=disabled)

    print_one(_user_row(run(change)), as_json=as_json)


def _console_url() -> str:
    """Read before a link is made: one that cannot be printed would be good for nobody."""
    try:
        return load(ConsoleSettings, "CONSOLE_").console_url
    except SettingsError as error:
        end(Exit.USAGE, error)


def _print_link(console_url: str, kind: LinkKind, secret: str) -> None:
    typer.echo(link_url(console_url, kind, secret))
    say("Whoever has this link may use it: send it to them alone.")


def _user_row(user: User) -> Row:
    return {
        "email": user.email,
        "operator": user.operator,
        "created_at": text(user.created_at),
        "disabled_at": text(user.disabled_at),
        "id": user.id,
    }


def _member_row(team: str, member: Member) -> Row:
    return {
        "email": member.user.email,
        "team": team,
        "role": member.role.value,
        "since": text(member.created_at),
        "disabled_at": text(member.user.disabled_at),
    }
