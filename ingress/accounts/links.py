"""One-time links: the way into an installation, into a team, and back in after a lost password.

Only the digest of a link's secret is stored.  Invariant: a link is used once, however many try at the same moment.
Every method is one transaction.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from sqlalchemy import ColumnElement, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from ingress.accounts.access_log import Action, note
from ingress.accounts.actors import Actor
from ingress.accounts.database import Database
from ingress.accounts.emails import parse_email
from ingress.accounts.errors import AlreadyExists, NotFound
from ingress.accounts.models import Invite, LinkKind, Membership, Role, Session, User
from ingress.accounts.teams import find_team
from ingress.accounts.tokens import digest, mint_id, random_text

INVITE_LIFETIME = timedelta(days=7)
RESET_LIFETIME = timedelta(hours=1)
SETUP_LIFETIME = timedelta(days=1)


def link_url(console_url: str, kind: LinkKind, secret: str) -> str:
    """Where the browser of whom a link is for goes; the paths are the console's."""
    return f"{console_url}/{kind.value}/{secret}"


class Links:
    """The one-time links of the accounts database.

    Every method raises `Unavailable` where the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set_up(
        self, now: datetime, actor: Actor, *, team: str | None, lifetime: timedelta = SETUP_LIFETIME
    ) -> str | None:
        """The secret of the link that makes the first user: an operator, and Owner of the team; older ones end.

        None where there is a user already.

        Raises:
            NotFound: where there is no such team.
        """
        async with self._database.writing() as session:
            if await _is_anybody(session):
                return None
            if team is not None:
                await find_team(session, team)
            await session.execute(delete(Invite).where(Invite.kind == LinkKind.SETUP))
            note(session, Action.SETUP_CREATED, now, actor, team=team)
            role = Role.OWNER if team else None
            return _make(session, LinkKind.SETUP, now, actor, lifetime, team=team, role=role)

    async def invite(  # noqa: PLR0913 - what an invitation is
        self,
        team: str,
        role: Role,
        email: str | None,
        now: datetime,
        actor: Actor,
        *,
        lifetime: timedelta = INVITE_LIFETIME,
    ) -> str:
        """The secret of a link that leads into a team; with an address, for nobody else.

        Raises:
            ValueError: where that is no address.
            NotFound: where there is no such team.
            AlreadyExists: where they are in the team.
        """
        email = None if email is None else parse_email(email)
        async with self._database.writing() as session:
            await find_team(session, team)
            if email is not None and await _is_member(session, team, User.email == email):
                raise AlreadyExists(f"{email} is a member of {team} already.")
            note(session, Action.INVITE_CREATED, now, actor, team=team, subject=email or "anybody", detail=f"as {role}")
            return _make(session, LinkKind.INVITE, now, actor, lifetime, team=team, role=role, email=email)

    async def invites(self, team: str, now: datetime) -> Sequence[Invite]:
        """The team's links that may still be used, oldest first."""
        query = select(Invite).where(Invite.team == team, Invite.kind == LinkKind.INVITE, *_open(now))
        async with self._database.reading() as session:
            return (await session.scalars(query.order_by(Invite.created_at))).all()

    async def withdraw_invite(self, team: str, link: bytes, now: datetime, actor: Actor) -> None:
        """End a link of the team, by its digest.

        Raises:
            NotFound: where the team has no such link any more.
        """
        async with self._database.writing() as session:
            found = await session.get(Invite, link, with_for_update=True)
            if found is None or found.team != team or found.kind is not LinkKind.INVITE or found.used_at is not None:
                raise NotFound("There is no such invitation any more.")
            await session.delete(found)
            note(session, Action.INVITE_WITHDRAWN, now, actor, team=team, subject=found.email or "anybody")

    async def reset(self, email: str, now: datetime, actor: Actor, *, lifetime: timedelta = RESET_LIFETIME) -> str:
        """The secret of a link with which a user chooses a new password; older ones end.

        Raises:
            NotFound: where nobody has this address.
        """
        async with self._database.writing() as session:
            user = await find_user(session, email)
            await session.execute(delete(Invite).where(Invite.kind == LinkKind.RESET, Invite.user_id == user.id))
            note(session, Action.RESET_CREATED, now, actor, subject=user.email)
            return _make(session, LinkKind.RESET, now, actor, lifetime, email=user.email, user_id=user.id)

    async def find_invite(self, secret: str, now: datetime) -> Invite:
        """What a link is for; it stays as it is.

        Raises:
            NotFound: where it is unknown, used or expired, which nobody can tell apart.
        """
        async with self._database.reading() as session:
            found = (
                await session.scalars(select(Invite).where(Invite.digest == digest(secret), *_open(now)))
            ).one_or_none()
        return found or _refuse()

    async def accept(self, secret: str, email: str, password_hash: str, now: datetime, address: str | None) -> User:
        """Make the user whom a link is for; or, of a reset, set the password and close all sessions.

        Raises:
            ValueError: where that is no address, or the link is for another one.
            NotFound: as of `find_invite`.
            AlreadyExists: where there is a user of this address: they sign in and `join`.
        """
        async with self._database.writing() as session:
            link = await _use(session, secret, now)
            if link.kind is LinkKind.RESET:
                return await _reset(session, link, password_hash, now, address)
            email = _checked(link, email)
            if link.kind is LinkKind.SETUP and await _is_anybody(session):
                _refuse()
            if (await session.scalars(select(User.id).where(User.email == email))).first():
                raise AlreadyExists(f"There is a user {email} already.")
            user = User(
                id=mint_id("usr"),
                email=email,
                password_hash=password_hash,
                created_at=now,
                operator=link.kind is LinkKind.SETUP,
            )
            session.add(user)
            await session.flush()
            actor = Actor(email, user.id, address)
            detail = f"{link.kind} by {link.created_by}" + (", operator" if user.operator else "")
            note(session, Action.USER_CREATED, now, actor, subject=email, detail=detail)
            if link.team is not None:
                _join(session, link, user, now, actor)
        return user

    async def join(self, secret: str, user_id: str, now: datetime, address: str | None) -> Membership:
        """Take an invitation as a user who is signed in.

        Raises:
            ValueError: where it is for another address.
            NotFound: as of `find_invite`.
            AlreadyExists: where they are in the team; the link stays as it is.
        """
        async with self._database.writing() as session:
            link = await _use(session, secret, now)
            user = await session.get(User, user_id)
            if user is None or link.kind is not LinkKind.INVITE or link.team is None:
                _refuse()
            _checked(link, user.email)
            if await _is_member(session, link.team, User.id == user_id):
                raise AlreadyExists(f"You are a member of {link.team} already.")
            return _join(session, link, user, now, Actor(user.email, user_id, address))


async def find_user(session: AsyncSession, email: str) -> User:
    """The user of an address, in whatever case it is written.

    Raises:
        NotFound: where there is none.
    """
    user = (await session.scalars(select(User).where(User.email == email.strip().lower()))).one_or_none()
    if user is None:
        raise NotFound(f"There is no user {email}.")
    return user


def _open(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Invite.used_at.is_(None), Invite.expires_at > now


def _refuse() -> NoReturn:
    raise NotFound("This link was used already, has expired, or was never there.")


def _make(  # noqa: PLR0913 - what a link is
    session: AsyncSession,
    kind: LinkKind,
    now: datetime,
    actor: Actor,
    lifetime: timedelta,
    *,
    team: str | None = None,
    role: Role | None = None,
    email: str | None = None,
    user_id: str | None = None,
) -> str:
    secret = random_text()
    link = Invite(
        digest=digest(secret),
        kind=kind,
        created_at=now,
        created_by=actor.label,
        expires_at=now + lifetime,
        team=team,
        role=role,
        email=email,
        user_id=user_id,
    )
    session.add(link)
    return secret


async def _use(session: AsyncSession, secret: str, now: datetime) -> Invite:
    """The link, which nobody else can use from now on, unless the transaction is rolled back."""
    mark = update(Invite).where(Invite.digest == digest(secret), *_open(now)).values(used_at=now)
    link = (await session.scalars(mark.returning(Invite))).one_or_none()
    return link or _refuse()


def _checked(link: Invite, email: str) -> str:
    """The address, where the link is for it."""
    email = parse_email(email)
    if link.email not in {None, email}:
        raise ValueError(f"this invitation is for {link.email}")
    return email


async def _reset(session: AsyncSession, link: Invite, password_hash: str, now: datetime, address: str | None) -> User:
    user = await session.get(User, link.user_id, with_for_update=True)
    if user is None:
        _refuse()
    user.password_hash = password_hash
    await session.execute(delete(Session).where(Session.user_id == user.id))
    detail = f"by a link of {link.created_by}; all sessions closed"
    note(session, Action.PASSWORD_CHANGED, now, Actor(user.email, user.id, address), subject=user.email, detail=detail)
    return user


def _join(session: AsyncSession, link: Invite, user: User, now: datetime, actor: Actor) -> Membership:
    membership = Membership(team=link.team or "", user_id=user.id, role=link.role or Role.MEMBER, created_at=now)
    session.add(membership)
    detail = f"as {membership.role}, invited by {link.created_by}"
    note(session, Action.MEMBER_ADDED, now, actor, team=membership.team, subject=user.email, detail=detail)
    return membership


async def _is_anybody(session: AsyncSession) -> bool:
    """Whether there is a user; until the transaction ends, nobody else becomes the first one."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
    return (await session.scalars(select(User.id).limit(1))).first() is not None


async def _is_member(session: AsyncSession, team: str, who: ColumnElement[bool]) -> bool:
    query = select(Membership).join(User, User.id == Membership.user_id).where(Membership.team == team, who)
    return (await session.scalars(query)).first() is not None
