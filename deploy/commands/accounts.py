"""`events team` and `events token`: the accounts database from the command line.

Data goes to standard output, everything said about it to standard error.  Exit codes: 0 done, 2 wrong usage or
settings, 3 exists already, 4 not found, 5 the accounts database does not answer.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, NoReturn, TypeVar

import typer

from ingress.accounts.actors import command_line
from ingress.accounts.database import migrate
from ingress.accounts.errors import AlreadyExists, NotFound
from ingress.accounts.models import Team, Token
from ingress.accounts.origins import parse_origin
from ingress.accounts.settings import AccountsSettings
from ingress.accounts.store import Accounts, open_accounts
from schemas.ddl import is_team_slug
from schemas.errors import Unavailable
from schemas.settings import SettingsError, load

WRONG_SETTINGS = 2
EXISTS = 3
NOT_FOUND = 4
UNAVAILABLE = 5
# What the column holds.
_MAX_EVENTS_PER_SECOND = 2**31 - 1

T = TypeVar("T")
Row = dict[str, str | int | None]

team_app = typer.Typer(
    no_args_is_help=True, help="Example: events team create acme\n\nTeams: who owns events, and may send them."
)
token_app = typer.Typer(
    no_args_is_help=True, help="Example: events token create acme\n\nTokens: what a team's producers send with events."
)


def _slug(slug: str) -> str:
    if not is_team_slug(slug):
        raise typer.BadParameter(f"{slug!r} must be up to 63 of a-z, 0-9 and _, beginning with a letter")
    return slug


def _origin(text: str) -> str:
    try:
        return parse_origin(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Slug = Annotated[str, typer.Argument(metavar="TEAM", callback=_slug, help="the team's name")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@team_app.command("create", help="Example: events team create acme\n\nMake a team, enabled at once.")
def create_team(
    slug: Slug,
    *,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="leave a team that exists as it is")] = False,
    as_json: Json = False,
) -> None:
    """Make a team."""
    made = True
    try:
        team = _with_accounts(lambda accounts: accounts.create_team(slug, _now(), command_line()))
    except AlreadyExists as error:
        if not if_missing:
            _end(EXISTS, error)
        made = False
        team = next(team for team in _with_accounts(Accounts.teams) if team.slug == slug)
    _print_one(_team_row(team), as_json=as_json)
    if made:
        _say(f"Next, make a token for it: events token create {slug}")


@team_app.command("list", help="Example: events team list --json\n\nList all teams.")
def list_teams(*, as_json: Json = False) -> None:
    """List all teams."""
    _print_all([_team_row(team) for team in _with_accounts(Accounts.teams)], as_json=as_json)


@team_app.command("enable", help="Example: events team enable acme\n\nTake the team's events (again).")
def enable_team(slug: Slug, *, as_json: Json = False) -> None:
    """Switch the Events API on."""
    _print_one(
        _team_row(_with_accounts(lambda accounts: accounts.enable_team(slug, _now(), command_line(), enabled=True))),
        as_json=as_json,
    )


@team_app.command("disable", help="Example: events team disable acme\n\nRefuse the team's events; its tokens stay.")
def disable_team(slug: Slug, *, as_json: Json = False) -> None:
    """Switch the Events API off."""
    _print_one(
        _team_row(_with_accounts(lambda accounts: accounts.enable_team(slug, _now(), command_line(), enabled=False))),
        as_json=as_json,
    )


@team_app.command(
    "origins",
    help="Example: events team origins acme --allow https://shop.example\n\n"
    "List the web origins whose pages may send the team's events, after allowing and removing some.  "
    "Without any, no web page may; programs that are no browsers need none.",
)
def change_origins(
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
    origins = _with_accounts(
        lambda accounts: accounts.change_origins(slug, allow or (), remove or (), _now(), command_line())
    )
    _print_all([{"team": slug, "origin": origin} for origin in origins], as_json=as_json)
    if allow or remove:
        _say("It takes effect within two seconds.")


@token_app.command(
    "create",
    help="Example: TOKEN=$(events token create acme)\n\nMake a token and print it, and nothing else, once.",
)
def create_token(  # noqa: PLR0913 - one argument per option
    slug: Slug,
    *,
    name: Annotated[str, typer.Option(help="what it is for, up to 100 characters")] = "",
    expires_in_days: Annotated[int | None, typer.Option(min=1, max=36_500, help="worthless after so many days")] = None,
    write_only: Annotated[
        bool,
        typer.Option("--write-only", help="for public places such as web pages: it sends events, and reads nothing"),
    ] = False,
    events_per_second: Annotated[
        int | None, typer.Option(min=1, max=_MAX_EVENTS_PER_SECOND, help="its own limit, per ingress process")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token."""
    if len(name) > 100:
        raise typer.BadParameter("must not be longer than 100 characters", param_hint="--name")
    now = _now()
    expires_at = now + timedelta(days=expires_in_days) if expires_in_days else None
    secret, token = _with_accounts(
        lambda accounts: accounts.create_token(
            slug,
            name,
            now,
            command_line(),
            expires_at=expires_at,
            write_only=write_only,
            events_per_second=events_per_second,
        )
    )
    if as_json:
        _print_one({"token": secret, **_token_row(token)}, as_json=True)
    else:
        typer.echo(secret)
    _say(f"Token {token.id} of {slug}: it is shown this once, keep it safe.  It works within two seconds.")


@token_app.command("list", help="Example: events token list acme --json\n\nList a team's tokens, never their secrets.")
def list_tokens(slug: Slug, *, as_json: Json = False) -> None:
    """List a team's tokens."""
    _print_all([_token_row(token) for token in _with_accounts(lambda accounts: accounts.tokens(slug))], as_json=as_json)


@token_app.command(
    "revoke", help="Example: events token revoke tok_8ZbQ0tYc1XfA\n\nMake a token worthless, within two seconds."
)
def revoke_token(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="as `events token list` shows it")],
    *,
    as_json: Json = False,
) -> None:
    """Make a token worthless."""
    _print_one(
        _token_row(_with_accounts(lambda accounts: accounts.revoke_token(token_id, _now(), command_line()))),
        as_json=as_json,
    )


def _with_accounts(act: Callable[[Accounts], Awaitable[T]]) -> T:
    """Do something with the accounts database, which is made or migrated first where it has to be."""
    try:
        url = load(AccountsSettings, "ACCOUNTS_").accounts_url.get_secret_value()
        return asyncio.run(_migrate_and(url, act))
    except SettingsError as error:
        _end(WRONG_SETTINGS, error)
    except NotFound as error:
        _end(NOT_FOUND, error)
    except Unavailable as error:
        _end(UNAVAILABLE, error)


async def _migrate_and(url: str, act: Callable[[Accounts], Awaitable[T]]) -> T:
    await migrate(url)
    async with open_accounts(url) as accounts:
        return await act(accounts)


def _now() -> datetime:
    return datetime.now(UTC)


def _team_row(team: Team) -> Row:
    return {"slug": team.slug, "enabled": team.enabled, "created_at": _text(team.created_at)}


def _token_row(token: Token) -> Row:
    return {
        "id": token.id,
        "team": token.team,
        "shown": f"{token.prefix}…{token.last4}",
        "name": token.name,
        "created_at": _text(token.created_at),
        "expires_at": _text(token.expires_at),
        "revoked_at": _text(token.revoked_at),
        "write_only": token.write_only,
        "events_per_second": token.events_per_second,
    }


def _text(time: datetime | None) -> str | None:
    return time.isoformat(timespec="seconds") if time else None


def _print_one(row: Row, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(row, ensure_ascii=False))
    else:
        _print_columns([row])


def _print_all(rows: Sequence[Row], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
    elif rows:
        _print_columns(rows)


def _print_columns(rows: Sequence[Row]) -> None:
    """Aligned columns under their names; absent values are a dash."""
    table = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value or "–")


def _say(message: object) -> None:
    typer.echo(message, err=True)


def _end(code: int, error: Exception) -> NoReturn:
    _say(error)
    raise typer.Exit(code)
