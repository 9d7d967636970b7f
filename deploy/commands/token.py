"""`events token`: what a team's producers send with events."""

from datetime import timedelta
from typing import Annotated

import typer

from deploy.commands.accounts import Json, Row, Slug, help_text, now, print_all, print_one, run, run_once, say, text
from ingress.accounts.actors import command_line
from ingress.accounts.database import Database
from ingress.accounts.models import Token
from ingress.accounts.store import Accounts
from ingress.accounts.team_tokens import MAX_EVENTS_PER_SECOND, MAX_NAME_CHARACTERS

# As long as a token may live at all.
_MAX_DAYS = 36_500

app = typer.Typer(
    no_args_is_help=True, help="Example: events token create acme\n\nTokens: what a team's producers send with events."
)
TokenId = Annotated[str, typer.Argument(metavar="ID", help="as `events token list` shows it")]


@app.command(
    "create",
    help=help_text("token create acme --name website", "Make a token and print it, and nothing else, this once."),
)
def create(  # noqa: PLR0913 - one argument per option
    slug: Slug,
    *,
    name: Annotated[str, typer.Option(help="what it is for, up to 100 characters")] = "",
    expires_in_days: Annotated[
        int | None, typer.Option(min=1, max=_MAX_DAYS, help="worthless after so many days")
    ] = None,
    write_only: Annotated[
        bool,
        typer.Option("--write-only", help="for public places such as web pages: it sends events, and reads nothing"),
    ] = False,
    events_per_second: Annotated[
        int | None, typer.Option(min=1, max=MAX_EVENTS_PER_SECOND, help="its own limit, per ingress process")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="the only event that it may send; may be repeated")
    ] = None,
    schemas: Annotated[
        bool, typer.Option("--schemas", help="it may also register and delete the team's schemas")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a token."""
    if len(name) > MAX_NAME_CHARACTERS:
        raise typer.BadParameter("must not be longer than 100 characters", param_hint="--name")
    at = now()
    secret, token = run(
        lambda database: Accounts(database).create_token(
            slug,
            name,
            at,
            command_line(),
            expires_at=at + timedelta(days=expires_in_days) if expires_in_days else None,
            write_only=write_only,
            events_per_second=events_per_second,
            event_names=event or (),
            schemas=schemas,
        )
    )
    _print_new(secret, token, frozenset(event or ()), as_json=as_json)


@app.command("list", help=help_text("token list acme --json", "List a team's tokens, never their secrets."))
def list_all(slug: Slug, *, as_json: Json = False) -> None:
    """List a team's tokens."""

    async def rows(database: Database) -> list[Row]:
        accounts = Accounts(database)
        tokens, names = await accounts.tokens(slug), await accounts.event_names(slug)
        return [_token_row(token, names.get(token.id, frozenset())) for token in tokens]

    print_all(run(rows), as_json=as_json)


@app.command("revoke", help=help_text("token revoke tok_8ZbQ0tYc1XfA", "Make a token worthless, within two seconds."))
def revoke(token_id: TokenId, *, as_json: Json = False) -> None:
    """Make a token worthless."""

    async def row(database: Database) -> Row:
        accounts = Accounts(database)
        token = await accounts.revoke_token(token_id, now(), command_line())
        return _token_row(token, (await accounts.event_names(token.team)).get(token_id, frozenset()))

    print_one(run(row), as_json=as_json)


@app.command(
    "rotate",
    help=help_text(
        "token rotate tok_8ZbQ0tYc1XfA --overlap-hours 24",
        "Make a token's successor, which may do the same, and print it, and nothing else, this once.  "
        "Both work until the overlap is over; then the old one is worthless.",
    ),
)
def rotate(
    token_id: TokenId,
    *,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=_MAX_DAYS * 24, help="how long the old one works yet; 0 revokes it now")
    ],
    as_json: Json = False,
) -> None:
    """Make a token's successor."""
    overlap = timedelta(hours=overlap_hours)

    async def rotated(database: Database) -> tuple[str, Token, frozenset[str]]:
        accounts = Accounts(database)
        secret, token = await accounts.rotate_token(token_id, now(), command_line(), overlap=overlap)
        return secret, token, (await accounts.event_names(token.team)).get(token.id, frozenset())

    secret, token, event_names = run_once(rotated)
    _print_new(secret, token, event_names, as_json=as_json)
    say(f"The old one, {token_id}, {f'works for {overlap} yet' if overlap else 'is worthless within two seconds'}.")


def _print_new(secret: str, token: Token, event_names: frozenset[str], *, as_json: bool) -> None:
    if as_json:
        print_one({"token": secret, **_token_row(token, event_names)}, as_json=True)
    else:
        typer.echo(secret)
    say(f"Token {token.id} of {token.team}: it is shown this once, keep it safe.  It works within two seconds.")


def _token_row(token: Token, event_names: frozenset[str]) -> Row:
    return {
        "id": token.id,
        "team": token.team,
        "shown": f"{token.prefix}…{token.last4}",
        "name": token.name,
        "created_at": text(token.created_at),
        "created_by": token.created_by,
        "last_used_at": text(token.last_used_at),
        "expires_at": text(token.expires_at),
        "revoked_at": text(token.revoked_at),
        "write_only": token.write_only,
        "events_per_second": token.events_per_second,
        "schemas": token.schemas,
        "events": ", ".join(sorted(event_names)) or None,
        "replaces": token.replaces,
    }
