"""The tables of the accounts database.  A change here needs a migration beside it in `migrations/versions/`."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, ForeignKey, LargeBinary, String, false, true
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """Aware times in UTC; SQLite keeps no zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read a stored time."""
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """The declarative root; `Base.metadata` is what the migrations must arrive at."""


class Team(Base):
    """Who owns events.

    Attributes:
        slug: its name, which is its warehouse database's name as well.
        enabled: whether the Events API takes its events.
    """

    __tablename__ = "teams"

    slug: Mapped[str] = mapped_column(String(63), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    enabled: Mapped[bool] = mapped_column(default=True, server_default=true())


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
