"""Teams and tokens in the accounts database.  Every method is one transaction."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from ingress.accounts import tokens
from ingress.accounts.database import open_engine, translated
from ingress.accounts.models import Team, TeamOrigin, Token
from ingress.accounts.origins import parse_origin
from schemas.ddl import is_team_slug
from schemas.errors import PipelineError

_SHOWN_CHARACTERS = len(tokens.PREFIX) + 4


class AlreadyExists(PipelineError):
    """There is one of this name."""


class NotFound(PipelineError):
    """There is none of this name."""


@dataclass(frozen=True, slots=True)
class LiveToken:
    """What the ingress knows of a token that was not revoked.

    Attributes:
        events_per_second: its own limit, where it has one.
        origins: of the web pages that may use it, as browsers write them; its team's.
    """

    digest: bytes
    id: str
    team: str
    team_enabled: bool
    expires_at: datetime | None
    write_only: bool
    events_per_second: int | None
    origins: frozenset[str]


class Accounts:
    """The accounts database, for one process.

    Every method raises `Unavailable` where the database does not answer.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._engine = open_engine(url, read_only=read_only)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close all connections."""
        await self._engine.dispose()

    async def create_team(self, slug: str, now: datetime) -> Team:
        """Make a team, enabled at once.

        Raises:
            ValueError: where the slug cannot name a team.
            AlreadyExists: where there is one of this name.
        """
        if not is_team_slug(slug):
            raise ValueError(f"{slug!r} cannot name a team: it must be up to 63 of a-z, 0-9 and _, a letter first")
        team = Team(slug=slug, created_at=now)
        async with self._transaction() as session:
            if await session.get(Team, slug):
                raise AlreadyExists(f"The team {slug} exists already.")
            session.add(team)
        return team

    async def teams(self) -> Sequence[Team]:
        """All teams by name."""
        async with self._transaction() as session:
            return (await session.scalars(select(Team).order_by(Team.slug))).all()

    async def enable_team(self, slug: str, *, enabled: bool) -> Team:
        """Switch the Events API on or off for a team.

        Raises:
            NotFound: where there is no such team.
        """
        async with self._transaction() as session:
            team = await _team(session, slug)
            team.enabled = enabled
        return team

    async def change_origins(self, team: str, allow: Iterable[str], remove: Iterable[str]) -> Sequence[str]:
        """Allow web origins, and no longer allow others; returns all that the team allows then.

        Raises:
            ValueError: where one is no origin.
            NotFound: where there is no such team.
        """
        allowed, removed = ({parse_origin(origin) for origin in origins} for origins in (allow, remove))
        async with self._transaction() as session:
            await _team(session, team, lock=True)
            present = await _origins(session, team)
            session.add_all(TeamOrigin(team=team, origin=origin) for origin in allowed.difference(present))
            await session.flush()
            gone = TeamOrigin.origin.in_(removed)
            await session.execute(delete(TeamOrigin).where(TeamOrigin.team == team, gone))
            return await _origins(session, team)

    async def create_token(  # noqa: PLR0913 - what a token is
        self,
        team: str,
        name: str,
        now: datetime,
        expires_at: datetime | None = None,
        *,
        write_only: bool = False,
        events_per_second: int | None = None,
    ) -> tuple[str, Token]:
        """Make a token of a team; the secret is returned here and kept nowhere.

        Raises:
            NotFound: where there is no such team.
        """
        secret = tokens.mint()
        token = Token(
            id=tokens.mint_id(),
            team=team,
            digest=tokens.digest(secret),
            prefix=secret[:_SHOWN_CHARACTERS],
            last4=secret[-4:],
            name=name,
            created_at=now,
            expires_at=expires_at,
            write_only=write_only,
            events_per_second=events_per_second,
        )
        async with self._transaction() as session:
            await _team(session, team)
            session.add(token)
        return secret, token

    async def tokens(self, team: str) -> Sequence[Token]:
        """All tokens of a team, revoked ones too, oldest first.

        Raises:
            NotFound: where there is no such team.
        """
        async with self._transaction() as session:
            await _team(session, team)
            query = select(Token).where(Token.team == team).order_by(Token.created_at, Token.id)
            return (await session.scalars(query)).all()

    async def revoke_token(self, token_id: str, now: datetime) -> Token:
        """Make a token worthless; one that is revoked already keeps its time.

        Raises:
            NotFound: where there is no such token.
        """
        async with self._transaction() as session:
            token = await session.get(Token, token_id)
            if token is None:
                raise NotFound(f"There is no token {token_id}.")
            token.revoked_at = token.revoked_at or now
        return token

    async def live_tokens(self) -> list[LiveToken]:
        """Every token that was not revoked, with its team's state; expired ones are left to the reader's clock."""
        query = (
            select(
                Token.digest,
                Token.id,
                Token.team,
                Team.enabled,
                Token.expires_at,
                Token.write_only,
                Token.events_per_second,
            )
            .join(Team, Team.slug == Token.team)
            .where(Token.revoked_at.is_(None))
        )
        async with self._transaction() as session:
            origins = await _origins_by_team(session)
            return [LiveToken(*row, origins.get(row.team, frozenset())) for row in await session.execute(query)]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncSession]:
        try:
            with translated():
                async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
                    yield session
        except IntegrityError as error:
            raise AlreadyExists("Somebody else made one of this name at the same moment.") from error


async def _team(session: AsyncSession, slug: str, *, lock: bool = False) -> Team:
    """The team; with the lock, nobody else changes what belongs to it until the transaction ends."""
    team = await session.get(Team, slug, with_for_update=lock)
    if team is None:
        raise NotFound(f"There is no team {slug}; `events team create {slug}` makes it.")
    return team


async def _origins(session: AsyncSession, team: str) -> Sequence[str]:
    query = select(TeamOrigin.origin).where(TeamOrigin.team == team).order_by(TeamOrigin.origin)
    return (await session.scalars(query)).all()


async def _origins_by_team(session: AsyncSession) -> dict[str, frozenset[str]]:
    found = defaultdict[str, set[str]](set)
    for team, origin in await session.execute(select(TeamOrigin.team, TeamOrigin.origin)):
        found[team].add(origin)
    return {team: frozenset(origins) for team, origins in found.items()}
