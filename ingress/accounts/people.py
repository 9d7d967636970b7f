"""Users and the teams that they are in.  Every method is one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ingress.accounts.access_log import Action, note
from ingress.accounts.actors import Actor
from ingress.accounts.errors import LastOwner, NotFound
from ingress.accounts.links import Links, find_user
from ingress.accounts.models import Membership, Role, Session, User
from ingress.accounts.teams import find_team


@dataclass(frozen=True, slots=True)
class Member:
    """A user in a team, since when, and as what."""

    user: User
    role: Role
    created_at: datetime


class People(Links):
    """The users of the accounts database, and the links that make them.

    Every method raises `Unavailable` where the database does not answer.
    """

    async def user(self, user_id: str) -> User:
        """One user by id.

        Raises:
            NotFound: where there is none.
        """
        async with self._database.reading() as session:
            return await _user(session, user_id)

    async def user_by_email(self, email: str) -> User:
        """One user by address, in whatever case it is written.

        Raises:
            NotFound: where there is none.
        """
        async with self._database.reading() as session:
            return await find_user(session, email)

    async def users(self) -> Sequence[User]:
        """All users by address."""
        async with self._database.reading() as session:
            return (await session.scalars(select(User).order_by(User.email))).all()

    async def memberships(self, user_id: str) -> Sequence[Membership]:
        """The teams that a user is in, by name."""
        query = select(Membership).where(Membership.user_id == user_id).order_by(Membership.team)
        async with self._database.reading() as session:
            return (await session.scalars(query)).all()

    async def members(self, team: str) -> Sequence[Member]:
        """The users in a team, by address.

        Raises:
            NotFound: where there is no such team.
        """
        query = select(User, Membership.role, Membership.created_at).join(Membership, Membership.user_id == User.id)
        async with self._database.reading() as session:
            await find_team(session, team)
            rows = await session.execute(query.where(Membership.team == team).order_by(User.email))
            return [Member(user, role, created_at) for user, role, created_at in rows]

    async def change_role(self, team: str, user_id: str, role: Role, now: datetime, actor: Actor) -> Membership:
        """Make a member an Owner, or an Owner a Member.

        Raises:
            NotFound: where there is no such team, or they are not in it.
            LastOwner: where nobody would own the team.
        """
        async with self._database.writing() as session:
            membership, user = await _membership(session, team, user_id)
            if membership.role is not role:
                if role is not Role.OWNER:
                    await _check_another_owner(session, team, user_id)
                membership.role = role
                note(session, Action.MEMBER_CHANGED, now, actor, team=team, subject=user.email, detail=f"now {role}")
        return membership

    async def remove_member(self, team: str, user_id: str, now: datetime, actor: Actor) -> None:
        """Take a user out of a team.

        Raises:
            NotFound: where there is no such team, or they are not in it.
            LastOwner: where nobody would own the team.
        """
        async with self._database.writing() as session:
            membership, user = await _membership(session, team, user_id)
            if membership.role is Role.OWNER:
                await _check_another_owner(session, team, user_id)
            await session.delete(membership)
            note(session, Action.MEMBER_REMOVED, now, actor, team=team, subject=user.email)

    async def set_password(
        self, user_id: str, password_hash: str, now: datetime, actor: Actor, *, keep_session: bytes | None
    ) -> None:
        """Change a user's password, and close all sessions but the one with this digest.

        Raises:
            NotFound: where there is no such user.
        """
        async with self._database.writing() as session:
            user = await _user(session, user_id, lock=True)
            user.password_hash = password_hash
            others = Session.digest != (keep_session or b"")
            await session.execute(delete(Session).where(Session.user_id == user_id, others))
            detail = "other sessions closed" if keep_session else "all sessions closed"
            note(session, Action.PASSWORD_CHANGED, now, actor, subject=user.email, detail=detail)

    async def change_user(
        self, user_id: str, now: datetime, actor: Actor, *, operator: bool | None = None, disabled: bool | None = None
    ) -> User:
        """Make a user an operator or no longer one, let them sign in or not; whoever may not is signed out.

        Raises:
            NotFound: where there is no such user.
        """
        async with self._database.writing() as session:
            user = await _user(session, user_id, lock=True)
            if operator is not None and operator is not user.operator:
                user.operator = operator
                action = Action.OPERATOR_GRANTED if operator else Action.OPERATOR_WITHDRAWN
                note(session, action, now, actor, subject=user.email)
            if disabled is not None and disabled is not (user.disabled_at is not None):
                user.disabled_at = now if disabled else None
                action = Action.USER_DISABLED if disabled else Action.USER_ENABLED
                note(session, action, now, actor, subject=user.email)
            if user.disabled_at is not None:
                await session.execute(delete(Session).where(Session.user_id == user_id))
        return user


async def _user(session: AsyncSession, user_id: str, *, lock: bool = False) -> User:
    user = await session.get(User, user_id, with_for_update=lock)
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    return user


async def _membership(session: AsyncSession, team: str, user_id: str) -> tuple[Membership, User]:
    """A user's place in a team, which nobody else changes until the transaction ends: the team is locked."""
    await find_team(session, team, lock=True)
    user = await _user(session, user_id)
    membership = await session.get(Membership, (team, user_id))
    if membership is None:
        raise NotFound(f"{user.email} is not in the team {team}.")
    return membership, user


async def _check_another_owner(session: AsyncSession, team: str, user_id: str) -> None:
    """Another Owner, who can sign in, is left to the team."""
    owners = (
        select(func.count())
        .select_from(Membership)
        .join(User, User.id == Membership.user_id)
        .where(Membership.team == team, Membership.role == Role.OWNER)
        .where(Membership.user_id != user_id, User.disabled_at.is_(None))
    )
    if not await session.scalar(owners):
        raise LastOwner(f"Nobody else owns the team {team}: make somebody else an Owner first.")
