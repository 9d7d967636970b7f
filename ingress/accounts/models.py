"""The tables of the accounts database.  A change here needs a migration beside it in `migrations/versions/`."""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    false,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """Aware times in UTC; SQLite keeps no zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Write a time: SQLite compares them as text, so all are of one zone."""
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read a stored time."""
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """The declarative root; `Base.metadata` is what the migrations must arrive at."""


class Role(StrEnum):
    """What a member is in a team: Owners change it, Members see it."""

    OWNER = "owner"
    MEMBER = "member"


class LinkKind(StrEnum):
    """What a one-time link is for."""

    INVITE = "invite"
    """Join a team, or become its Owner."""
    SETUP = "setup"
    """Become the first user, an operator."""
    RESET = "reset"
    """Choose a new password."""


def _words(words: type[StrEnum]) -> Enum:
    """A column of one word of a closed list, as plain text."""
    return Enum(words, native_enum=False, length=16, values_callable=lambda found: [word.value for word in found])


class Team(Base):
    """Who owns events.

    Attributes:
        slug: its name, which is its warehouse database's name as well.
        enabled: whether the Events API takes its events.
        requested_at: since when it waits for being enabled; None where it does not.
        requested_by: who asked, as the access log names them.
    """

    __tablename__ = "teams"

    slug: Mapped[str] = mapped_column(String(63), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    enabled: Mapped[bool] = mapped_column(default=True, server_default=true())
    requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    requested_by: Mapped[str | None] = mapped_column(String(300), default=None)


class TeamOrigin(Base):
    """A web origin whose pages may send the team's events; `*` for every one."""

    __tablename__ = "team_origins"

    team: Mapped[str] = mapped_column(ForeignKey("teams.slug"), primary_key=True)
    origin: Mapped[str] = mapped_column(String(255), primary_key=True)


class Token(Base):
    """What a producer proves its team with.

    Attributes:
        id: its public name, such as tok_8Zb1…
        digest: SHA-256 of the secret.
        prefix: the secret's first characters, for display; `last4` its last.
        name: what its maker calls it.
        write_only: whether it is public, as in a web page: it may send events, and learn nothing of them.
        events_per_second: its own limit; where there is none, that of the ingress holds.
        created_by: who made it, as the access log names them; empty where nobody kept that.
        last_used_at: to the minute; None where it never was.
        replaces: the id of the token that it was rotated from.
        schemas: whether it may register and delete the team's schemas.
    """

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    team: Mapped[str] = mapped_column(ForeignKey("teams.slug"), index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    prefix: Mapped[str] = mapped_column(String(16))
    last4: Mapped[str] = mapped_column(String(4))
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    write_only: Mapped[bool] = mapped_column(default=False, server_default=false())
    events_per_second: Mapped[int | None] = mapped_column(default=None)
    created_by: Mapped[str] = mapped_column(String(300), default="", server_default="")
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    replaces: Mapped[str | None] = mapped_column(String(32), default=None, index=True, unique=True)
    schemas: Mapped[bool] = mapped_column(default=False, server_default=false())


class TokenEvent(Base):
    """The name of an event that a token may send; a token without any may send all."""

    __tablename__ = "token_events"

    token_id: Mapped[str] = mapped_column(ForeignKey("tokens.id"), primary_key=True)
    event_name: Mapped[str] = mapped_column(String(200), primary_key=True)


class User(Base):
    """A person who signs in to the console.

    Attributes:
        email: in lower case.
        password_hash: argon2id, with its parameters and salt.
        operator: whether they run this installation: enable teams, invite Owners, disable users.
        disabled_at: since when they cannot sign in; None where they can.
    """

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255), repr=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    operator: Mapped[bool] = mapped_column(default=False, server_default=false())
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class Membership(Base):
    """A user's role in a team."""

    __tablename__ = "memberships"

    team: Mapped[str] = mapped_column(ForeignKey("teams.slug"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[Role] = mapped_column(_words(Role))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Invite(Base):
    """A one-time link: who holds its secret may do once what it is for.

    Attributes:
        digest: SHA-256 of the secret.
        team: which one it leads into, with the role.
        email: whom it is meant for, where that was said: nobody else takes it.
        user_id: whose password it resets.
        created_by: who made it, as the access log names them.
    """

    __tablename__ = "invites"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    kind: Mapped[LinkKind] = mapped_column(_words(LinkKind))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(300))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    team: Mapped[str | None] = mapped_column(ForeignKey("teams.slug"), default=None, index=True)
    role: Mapped[Role | None] = mapped_column(_words(Role), default=None)
    email: Mapped[str | None] = mapped_column(String(254), default=None)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"), default=None)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class Session(Base):
    """A browser in which a user is signed in; it is deleted when it ends.

    Attributes:
        digest: SHA-256 of the secret in the cookie.
        last_seen_at: to the minute.
        confirmed_at: when the password was last given.
    """

    __tablename__ = "sessions"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    user_agent: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(64))


class AccessEntry(Base):
    """One line of the access log, which is only ever added to; it outlives what it tells of.

    Attributes:
        id: rises with each entry.
        action: a word of `Action`; a newer program may have written one that this one does not know.
        subject: what was changed: a team, a token's id, an email address.
    """

    __tablename__ = "access_log"
    __table_args__ = (Index("ix_access_log_team_id", "team", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True, init=False
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(300))
    action: Mapped[str] = mapped_column(String(40))
    actor_user_id: Mapped[str | None] = mapped_column(String(32), default=None)
    address: Mapped[str | None] = mapped_column(String(64), default=None)
    team: Mapped[str | None] = mapped_column(String(63), default=None)
    subject: Mapped[str] = mapped_column(String(300), default="")
    detail: Mapped[str] = mapped_column(Text, default="")
