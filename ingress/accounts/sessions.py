"""Who is signed in where.  A session is a row that can be deleted, and its cookie holds a secret that is not stored.

Every method is one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ingress.accounts.access_log import Action, note, plain
from ingress.accounts.actors import Actor
from ingress.accounts.database import Database
from ingress.accounts.errors import NotFound
from ingress.accounts.models import Membership, Role, Session, User
from ingress.accounts.tokens import digest, random_text

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=7)
# A page in use would else write to the database with each of its requests.
SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that is good, whose it is, and their role in each of their teams."""

    session: Session
    user: User
    memberships: Mapping[str, Role]

    @property
    def operator(self) -> bool:
        """Whether they run this installation."""
        return self.user.operator


class Sessions:
    """The sessions of the accounts database; they end after `idle` without a request, and after `absolute` anyway.

    Every method raises `Unavailable` where the database does not answer.
    """

    def __init__(self, database: Database, idle: timedelta = IDLE, absolute: timedelta = ABSOLUTE) -> None:
        self._database = database
        self._idle, self._absolute = idle, absolute

    async def open(self, known: User, now: datetime, user_agent: str, address: str) -> str:
        """Sign in a user, as they were when their password was given; returns the secret for the cookie.

        Raises:
            NotFound: where they may not sign in, or have another password by now.
        """
        secret = random_text()
        async with self._database.writing() as session:
            # Locked, so that whoever disables the user or sets a password meanwhile finds this session to close.
            user = await session.get(User, known.id, with_for_update=True)
            if user is None or user.disabled_at is not None or user.password_hash != known.password_hash:
                raise NotFound(f"There is no user {known.id} who may sign in with this password.")
            await session.execute(delete(Session).where(Session.user_id == user.id, self._over(now)))
            opened = Session(
                digest=digest(secret),
                user_id=user.id,
                created_at=now,
                last_seen_at=now,
                confirmed_at=now,
                user_agent=plain(user_agent, 200),
                address=plain(address, 64),
            )
            session.add(opened)
            note(session, Action.SIGNED_IN, now, Actor(user.email, user.id, address), subject=user.email)
        return secret

    async def find(self, secret: str, now: datetime) -> SignedIn | None:
        """Whose session this is; None where it is none, has ended, or its user may not sign in."""
        async with self._database.reading() as session:
            query = select(Session, User).join(User, User.id == Session.user_id)
            row = (await session.execute(query.where(Session.digest == digest(secret)))).one_or_none()
            if row is None or row.User.disabled_at is not None or self._is_over(row.Session, now):
                return None
            roles = select(Membership.team, Membership.role).where(Membership.user_id == row.User.id)
            memberships = {team: role for team, role in await session.execute(roles)}  # noqa: C416 - typed rows
        if now - row.Session.last_seen_at >= SEEN_EVERY:
            async with self._database.writing() as session:
                seen = update(Session).where(Session.digest == row.Session.digest).values(last_seen_at=now)
                await session.execute(seen)
        return SignedIn(row.Session, row.User, memberships)

    async def confirm(self, session_digest: bytes, now: datetime) -> None:
        """Note that the password was given once more; nothing where the session is closed."""
        async with self._database.writing() as session:
            user = await _user_of(session, session_digest)
            if user is not None:
                await session.execute(update(Session).where(Session.digest == session_digest).values(confirmed_at=now))
                note(session, Action.CONFIRMED, now, Actor(user.email, user.id), subject=user.email)

    async def close(self, session_digest: bytes, now: datetime, actor: Actor) -> None:
        """Sign out; nothing where the session is closed already."""
        async with self._database.writing() as session:
            user = await _user_of(session, session_digest)
            if user is not None:
                await session.execute(delete(Session).where(Session.digest == session_digest))
                note(session, Action.SIGNED_OUT, now, actor, subject=user.email)

    async def close_others(self, user_id: str, keep_digest: bytes, now: datetime, actor: Actor) -> int:
        """Sign a user out everywhere else; returns of how many sessions."""
        others = Session.user_id == user_id, Session.digest != keep_digest
        async with self._database.writing() as session:
            closed = len((await session.scalars(delete(Session).where(*others).returning(Session.digest))).all())
            if closed:
                user = await session.get(User, user_id)
                subject = user.email if user else user_id
                note(session, Action.SESSIONS_CLOSED, now, actor, subject=subject, detail=f"{closed} closed")
        return closed

    async def of_user(self, user_id: str, now: datetime) -> Sequence[Session]:
        """A user's sessions that have not ended, the one last used first."""
        query = select(Session).where(Session.user_id == user_id).order_by(Session.last_seen_at.desc())
        async with self._database.reading() as session:
            return [found for found in await session.scalars(query) if not self._is_over(found, now)]

    def _is_over(self, session: Session, now: datetime) -> bool:
        return now - session.last_seen_at >= self._idle or now - session.created_at >= self._absolute

    def _over(self, now: datetime) -> ColumnElement[bool]:
        return or_(Session.last_seen_at <= now - self._idle, Session.created_at <= now - self._absolute)


async def _user_of(session: AsyncSession, session_digest: bytes) -> User | None:
    query = select(User).join(Session, Session.user_id == User.id).where(Session.digest == session_digest)
    return (await session.scalars(query)).one_or_none()
