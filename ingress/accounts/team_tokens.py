"""The tokens of teams: made, rotated, revoked, and read by the ingress.  Every method is one transaction."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ingress.accounts import tokens
from ingress.accounts.access_log import Action, note
from ingress.accounts.actors import Actor
from ingress.accounts.database import Database
from ingress.accounts.errors import AlreadyExists, NotFound
from ingress.accounts.models import Team, Token, TokenEvent
from ingress.accounts.teams import find_team, origins_by_team

MAX_NAME_CHARACTERS = 100
MAX_EVENT_NAMES = 100
MAX_EVENT_NAME_CHARACTERS = 200
# What the column holds.
MAX_EVENTS_PER_SECOND = 2**31 - 1

_SHOWN_CHARACTERS = len(tokens.PREFIX) + 4


@dataclass(frozen=True, slots=True)
class LiveToken:
    """What the ingress knows of a token that was not revoked.

    Attributes:
        events_per_second: its own limit, where it has one.
        origins: of the web pages that may use it, as browsers write them; its team's.
        event_names: of the events that it may send; empty for all.
    """

    digest: bytes
    id: str
    team: str
    team_enabled: bool
    expires_at: datetime | None
    write_only: bool
    events_per_second: int | None
    origins: frozenset[str]
    event_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Holder:
    """What the registry knows of a token that works.

    Attributes:
        schemas: whether it may register and delete the team's schemas.
        event_names: of the events that it is for; empty for all.
    """

    id: str
    team: str
    write_only: bool
    schemas: bool
    event_names: frozenset[str]


class TeamTokens:
    """The tokens of the accounts database.

    Every method raises `Unavailable` where the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_token(  # noqa: PLR0913 - what a token is
        self,
        team: str,
        name: str,
        now: datetime,
        actor: Actor,
        *,
        expires_at: datetime | None = None,
        write_only: bool = False,
        events_per_second: int | None = None,
        event_names: Collection[str] = (),
        schemas: bool = False,
    ) -> tuple[str, Token]:
        """Make a token of a team; the secret is returned here and kept nowhere.

        Raises:
            ValueError: where the name, the limit or the events' names are none, with words for who typed them.
            NotFound: where there is no such team.
        """
        _check(name, events_per_second, event_names)
        if schemas and write_only:
            raise ValueError("a write-only token is public, so it registers no schemas")
        secret, token = _mint(team, name, now, actor, expires_at)
        token.write_only, token.events_per_second, token.schemas = write_only, events_per_second, schemas
        async with self._database.writing() as session:
            await find_team(session, team)
            await _add(session, token, event_names)
            detail = _described(token, event_names)
            note(session, Action.TOKEN_CREATED, now, actor, team=team, subject=token.id, detail=detail)
        return secret, token

    async def rotate_token(
        self, token_id: str, now: datetime, actor: Actor, *, overlap: timedelta, team: str | None = None
    ) -> tuple[str, Token]:
        """Make a token's successor, which may do the same and lives as long; the old one works for the overlap yet.

        Without an overlap the old one is revoked at once.

        Raises:
            NotFound: where there is no such token, or it is not this team's.
            AlreadyExists: where it has a successor already.
            ValueError: where it works no longer.
        """
        async with self._database.writing() as session:
            old = await _find(session, token_id, team)
            if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
                raise ValueError(f"The token {token_id} works no longer: make a new one.")
            if successor := await session.scalar(select(Token.id).where(Token.replaces == token_id)):
                raise AlreadyExists(f"The token {token_id} was rotated already, to {successor}.")
            expires_at = None if old.expires_at is None else now + (old.expires_at - old.created_at)
            secret, new = _mint(old.team, old.name, now, actor, expires_at)
            new.write_only, new.events_per_second, new.replaces = old.write_only, old.events_per_second, old.id
            new.schemas = old.schemas
            if overlap > timedelta():
                old.expires_at = min(now + overlap, old.expires_at or now + overlap)
            else:
                old.revoked_at = now
            names = await session.scalars(select(TokenEvent.event_name).where(TokenEvent.token_id == old.id))
            await _add(session, new, names.all())
            detail = f"to {new.id}, overlap {overlap}"
            note(session, Action.TOKEN_ROTATED, now, actor, team=old.team, subject=old.id, detail=detail)
        return secret, new

    async def revoke_token(self, token_id: str, now: datetime, actor: Actor, *, team: str | None = None) -> Token:
        """Make a token worthless; one that is revoked already keeps its time.

        Raises:
            NotFound: where there is no such token, or it is not this team's.
        """
        async with self._database.writing() as session:
            token = await _find(session, token_id, team)
            _revoke(session, token, now, actor)
        return token

    async def revoke_secret(self, secret: str, now: datetime, actor: Actor) -> Token:
        """The same by the token itself, for whoever holds it.

        Raises:
            NotFound: where there is no such token.
        """
        async with self._database.writing() as session:
            query = select(Token).where(Token.digest == tokens.digest(secret)).with_for_update()
            token = (await session.scalars(query)).one_or_none()
            if token is None:
                raise NotFound("There is no such token.")
            _revoke(session, token, now, actor, detail="by who holds it")
        return token

    async def tokens(self, team: str) -> Sequence[Token]:
        """All tokens of a team, revoked ones too, oldest first.

        Raises:
            NotFound: where there is no such team.
        """
        async with self._database.reading() as session:
            await find_team(session, team)
            query = select(Token).where(Token.team == team).order_by(Token.created_at, Token.id)
            return (await session.scalars(query)).all()

    async def event_names(self, team: str) -> dict[str, frozenset[str]]:
        """The names of events that each of the team's tokens may send, by its id; without those that may send all."""
        async with self._database.reading() as session:
            return await _names_by_token(session, Token.team == team)

    async def touch_tokens(self, used: Mapping[str, datetime]) -> None:
        """Note when tokens were last used, by their ids; a later time stays."""
        async with self._database.writing() as session:
            # In one order for all who do it, so that no two wait for each other.
            for token_id, at in sorted(used.items()):
                earlier = or_(Token.last_used_at.is_(None), Token.last_used_at < at)
                await session.execute(update(Token).where(Token.id == token_id, earlier).values(last_used_at=at))

    async def live_tokens(self) -> list[LiveToken]:
        """Every token that was not revoked, with its team's state; expired ones are left to the reader's clock."""
        columns = (Token.digest, Token.id, Token.team, Team.enabled, Token.expires_at, Token.write_only)
        query = select(*columns, Token.events_per_second).join(Team, Team.slug == Token.team)
        async with self._database.reading() as session:
            origins = await origins_by_team(session)
            names = await _names_by_token(session, Token.revoked_at.is_(None))
            return [
                LiveToken(*row, origins.get(row.team, frozenset()), names.get(row.id, frozenset()))
                for row in await session.execute(query.where(Token.revoked_at.is_(None)))
            ]

    async def holder(self, secret: str, now: datetime) -> Holder | None:
        """The token that this is the secret of; None where there is none, or it works no longer."""
        query = select(Token).where(Token.digest == tokens.digest(secret), Token.revoked_at.is_(None))
        async with self._database.reading() as session:
            token = (await session.scalars(query)).one_or_none()
            if token is None or (token.expires_at is not None and token.expires_at <= now):
                return None
            names = await session.scalars(select(TokenEvent.event_name).where(TokenEvent.token_id == token.id))
            return Holder(token.id, token.team, token.write_only, token.schemas, frozenset(names))


def _check(name: str, events_per_second: int | None, event_names: Collection[str]) -> None:
    if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise ValueError(f"a token's name has up to {MAX_NAME_CHARACTERS} characters in one line")
    if events_per_second is not None and not 1 <= events_per_second <= MAX_EVENTS_PER_SECOND:
        raise ValueError(f"a limit is a number from 1 to {MAX_EVENTS_PER_SECOND}")
    if len(event_names) > MAX_EVENT_NAMES:
        raise ValueError(f"a token is for {MAX_EVENT_NAMES} events at most, or for all")
    for event_name in event_names:
        if not 0 < len(event_name) <= MAX_EVENT_NAME_CHARACTERS or not event_name.isprintable():
            raise ValueError(f"an event's name has 1 to {MAX_EVENT_NAME_CHARACTERS} characters in one line")


def _mint(team: str, name: str, now: datetime, actor: Actor, expires_at: datetime | None) -> tuple[str, Token]:
    secret = tokens.mint()
    return secret, Token(
        id=tokens.mint_id(),
        team=team,
        digest=tokens.digest(secret),
        prefix=secret[:_SHOWN_CHARACTERS],
        last4=secret[-4:],
        name=name,
        created_at=now,
        created_by=actor.label,
        expires_at=expires_at,
    )


async def _add(session: AsyncSession, token: Token, event_names: Collection[str]) -> None:
    session.add(token)
    await session.flush()
    session.add_all(TokenEvent(token_id=token.id, event_name=name) for name in set(event_names))


async def _find(session: AsyncSession, token_id: str, team: str | None) -> Token:
    token = await session.get(Token, token_id, with_for_update=True)
    if token is None or team not in {None, token.team}:
        raise NotFound(f"There is no token {token_id}.")
    return token


def _revoke(session: AsyncSession, token: Token, now: datetime, actor: Actor, detail: str = "") -> None:
    if token.revoked_at is None:
        token.revoked_at = now
        note(session, Action.TOKEN_REVOKED, now, actor, team=token.team, subject=token.id, detail=detail)


def _described(token: Token, event_names: Collection[str]) -> str:
    parts = [
        token.name,
        f"expires {token.expires_at.isoformat(timespec='seconds')}" if token.expires_at else "",
        "write-only" if token.write_only else "",
        "schemas" if token.schemas else "",
        f"{token.events_per_second} events/s" if token.events_per_second else "",
        f"only {', '.join(sorted(event_names))}" if event_names else "",
    ]
    return "; ".join(part for part in parts if part)


async def _names_by_token(session: AsyncSession, condition: ColumnElement[bool]) -> dict[str, frozenset[str]]:
    query = select(TokenEvent.token_id, TokenEvent.event_name).join(Token, Token.id == TokenEvent.token_id)
    found = defaultdict[str, set[str]](set)
    for token_id, name in await session.execute(query.where(condition)):
        found[token_id].add(name)
    return {token_id: frozenset(names) for token_id, names in found.items()}
