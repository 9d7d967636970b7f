"""Teams, whether their Events API is on, and the web origins that they allow.  Every method is one transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from ingress.accounts.access_log import Action, note
from ingress.accounts.actors import Actor
from ingress.accounts.database import Database
from ingress.accounts.errors import AlreadyExists, NotFound
from ingress.accounts.models import Team, TeamOrigin
from ingress.accounts.origins import parse_origin
from schemas.ddl import is_team_slug


class Teams:
    """The teams of the accounts database.

    Every method raises `Unavailable` where the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_team(self, slug: str, now: datetime, actor: Actor, *, enabled: bool = True) -> Team:
        """Make a team.

        Raises:
            ValueError: where the slug cannot name a team.
            AlreadyExists: where there is one of this name.
        """
        if not is_team_slug(slug):
            raise ValueError(f"{slug!r} cannot name a team: it must be up to 63 of a-z, 0-9 and _, a letter first")
        made = Team(slug=slug, created_at=now, enabled=enabled)
        async with self._database.writing() as session:
            if await session.get(Team, slug):
                raise AlreadyExists(f"The team {slug} exists already.")
            session.add(made)
            note(
                session, Action.TEAM_CREATED, now, actor, team=slug, subject=slug, detail="" if enabled else "disabled"
            )
        return made

    async def team(self, slug: str) -> Team:
        """One team.

        Raises:
            NotFound: where there is no such team.
        """
        async with self._database.reading() as session:
            return await find_team(session, slug)

    async def teams(self) -> Sequence[Team]:
        """All teams by name."""
        async with self._database.reading() as session:
            return (await session.scalars(select(Team).order_by(Team.slug))).all()

    async def request_events_api(self, team: str, now: datetime, actor: Actor) -> Team:
        """Ask the operators to enable a team; one that is enabled, or has asked, stays as it is.

        Raises:
            NotFound: where there is no such team.
        """
        async with self._database.writing() as session:
            found = await find_team(session, team, lock=True)
            if not found.enabled and found.requested_at is None:
                found.requested_at, found.requested_by = now, actor.label
                note(session, Action.TEAM_REQUESTED, now, actor, team=team, subject=team)
        return found

    async def enable_team(self, slug: str, now: datetime, actor: Actor, *, enabled: bool) -> Team:
        """Switch the Events API on or off for a team; either way its request is answered.

        Raises:
            NotFound: where there is no such team.
        """
        async with self._database.writing() as session:
            found = await find_team(session, slug, lock=True)
            if found.enabled is not enabled or found.requested_at is not None:
                action = Action.TEAM_ENABLED if enabled else Action.TEAM_DISABLED
                note(session, action, now, actor, team=slug, subject=slug)
            found.enabled, found.requested_at, found.requested_by = enabled, None, None
        return found

    async def origins(self, team: str) -> Sequence[str]:
        """The web origins whose pages may send the team's events.

        Raises:
            NotFound: where there is no such team.
        """
        async with self._database.reading() as session:
            await find_team(session, team)
            return await _origins(session, team)

    async def change_origins(
        self, team: str, allow: Iterable[str], remove: Iterable[str], now: datetime, actor: Actor
    ) -> Sequence[str]:
        """Allow web origins, and no longer allow others; returns all that the team allows then.

        Raises:
            ValueError: where one is no origin.
            NotFound: where there is no such team.
        """
        allowed, removed = ({parse_origin(origin) for origin in origins} for origins in (allow, remove))
        async with self._database.writing() as session:
            await find_team(session, team, lock=True)
            before = set(await _origins(session, team))
            session.add_all(TeamOrigin(team=team, origin=origin) for origin in allowed - before)
            await session.flush()
            gone = TeamOrigin.origin.in_(removed)
            await session.execute(delete(TeamOrigin).where(TeamOrigin.team == team, gone))
            after = await _origins(session, team)
            if changes := _changes(before, set(after)):
                note(session, Action.ORIGINS_CHANGED, now, actor, team=team, subject=team, detail=changes)
        return after


async def find_team(session: AsyncSession, slug: str, *, lock: bool = False) -> Team:
    """The team; with the lock, nobody else changes what belongs to it until the transaction ends.

    Raises:
        NotFound: where there is no such team.
    """
    team = await session.get(Team, slug, with_for_update=lock)
    if team is None:
        raise NotFound(f"There is no team {slug}; `events team create {slug}` makes it.")
    return team


async def origins_by_team(session: AsyncSession) -> dict[str, frozenset[str]]:
    """The origins of every team that allows any."""
    found = defaultdict[str, set[str]](set)
    for team, origin in await session.execute(select(TeamOrigin.team, TeamOrigin.origin)):
        found[team].add(origin)
    return {team: frozenset(origins) for team, origins in found.items()}


async def _origins(session: AsyncSession, team: str) -> Sequence[str]:
    query = select(TeamOrigin.origin).where(TeamOrigin.team == team).order_by(TeamOrigin.origin)
    return (await session.scalars(query)).all()


def _changes(before: set[str], after: set[str]) -> str:
    changes = [f"allowed {origin}" for origin in sorted(after - before)]
    return ", ".join(changes + [f"removed {origin}" for origin in sorted(before - after)])
