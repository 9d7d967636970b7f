"""The access log: who changed who may do what, when, and from where.  It is only ever added to.

Invariant: a change and its entry are one transaction, so that neither is there without the other.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ingress.accounts.actors import Actor
from ingress.accounts.database import Database
from ingress.accounts.models import AccessEntry

MAX_DETAIL_CHARACTERS = 500


class Action(StrEnum):
    """Everything that the log tells of."""

    TEAM_CREATED = "team_created"
    TEAM_REQUESTED = "team_requested"
    TEAM_ENABLED = "team_enabled"
    TEAM_DISABLED = "team_disabled"
    ORIGINS_CHANGED = "origins_changed"
    TOKEN_CREATED = "token_created"  # noqa: S105 - a word
    TOKEN_ROTATED = "token_rotated"  # noqa: S105 - a word
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a word
    INVITE_CREATED = "invite_created"
    INVITE_WITHDRAWN = "invite_withdrawn"
    SETUP_CREATED = "setup_created"
    RESET_CREATED = "reset_created"
    USER_CREATED = "user_created"
    USER_DISABLED = "user_disabled"
    USER_ENABLED = "user_enabled"
    OPERATOR_GRANTED = "operator_granted"
    OPERATOR_WITHDRAWN = "operator_withdrawn"
    MEMBER_ADDED = "member_added"
    MEMBER_CHANGED = "member_changed"
    MEMBER_REMOVED = "member_removed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a word
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    SESSIONS_CLOSED = "sessions_closed"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGN_IN_LIMITED = "sign_in_limited"
    RETENTION_CHANGED = "retention_changed"
    SCHEMA_REGISTERED = "schema_registered"
    SCHEMA_DELETED = "schema_deleted"
    SCHEMA_RULES_CHANGED = "schema_rules_changed"
    CONFIRMED = "confirmed"
    CONFIRM_FAILED = "confirm_failed"


class AccessLog:
    """Reads the log, and adds what is no change: a sign-in that failed.

    Every method raises `Unavailable` where the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(  # noqa: PLR0913 - what an entry is
        self,
        action: Action,
        now: datetime,
        actor: Actor,
        *,
        team: str | None = None,
        subject: str = "",
        detail: str = "",
    ) -> None:
        """Add an entry by itself."""
        async with self._database.writing() as session:
            note(session, action, now, actor, team=team, subject=subject, detail=detail)

    async def last(self, team: str, action: Action) -> AccessEntry | None:
        """The team's newest entry of one kind."""
        query = select(AccessEntry).where(AccessEntry.team == team, AccessEntry.action == action.value)
        async with self._database.reading() as session:
            return await session.scalar(query.order_by(AccessEntry.id.desc()).limit(1))

    async def entries(self, team: str | None, *, before: int | None = None, limit: int = 50) -> Sequence[AccessEntry]:
        """The team's newest entries, newest first; None for those of all teams and of none.

        `before` is the id of the last one that was seen already.
        """
        query = select(AccessEntry).order_by(AccessEntry.id.desc()).limit(limit)
        if team is not None:
            query = query.where(AccessEntry.team == team)
        if before is not None:
            query = query.where(AccessEntry.id < before)
        async with self._database.reading() as session:
            return (await session.scalars(query)).all()


def note(  # noqa: PLR0913 - what an entry is
    session: AsyncSession,
    action: Action,
    now: datetime,
    actor: Actor,
    *,
    team: str | None = None,
    subject: str = "",
    detail: str = "",
) -> None:
    """Add an entry in the transaction of the change that it tells of."""
    entry = AccessEntry(
        at=now,
        actor=plain(actor.label, 300),
        action=action.value,
        actor_user_id=actor.user_id,
        address=plain(actor.address, 64) if actor.address else None,
        team=team,
        subject=plain(subject, 300),
        detail=plain(detail, MAX_DETAIL_CHARACTERS),
    )
    session.add(entry)


def plain(text: str, max_characters: int) -> str:
    """The text as the database and a terminal can take it: one line, nothing that moves a cursor, not too long."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= max_characters else printable[: max_characters - 1] + "…"
