"""The tables of the teams' schemas, in the accounts database."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ingress.accounts.models import Base, UtcDateTime


class SchemaCounter(Base):
    """One row: who locks it is the only one who registers.

    Attributes:
        next_id: of what is registered next, or written by it; where another registry gives the ids, a stamp alone.
        mirrors: the host of another registry, once the schemas are its; None for our own.
    """

    __tablename__ = "schema_counter"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_id: Mapped[int] = mapped_column()
    mirrors: Mapped[str | None] = mapped_column(String(300), default=None)


class SchemaText(Base):
    """A schema that was registered, under any number of subjects.

    Attributes:
        digest: SHA-256 of what it says, however it is written; of another registry's, with its id.
        text: as it was first sent.
    """

    __tablename__ = "schema_texts"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    text: Mapped[str] = mapped_column(Text)


class SchemaSubject(Base):
    """A subject: one event of a team, and one major of its schema.

    Attributes:
        name: `acme.Purchased an Item@2`.
        table_name: of its typed table, in the team's database.
        compatibility: what is asked of its versions; None for the installation's default.
        mode: whether it takes versions; None for the installation's default.
    """

    __tablename__ = "schema_subjects"
    __table_args__ = (UniqueConstraint("team", "table_name", name="uq_schema_subjects_table"),)

    name: Mapped[str] = mapped_column(String(300), primary_key=True)
    team: Mapped[str] = mapped_column(ForeignKey("teams.slug"))
    table_name: Mapped[str] = mapped_column(String(63))
    compatibility: Mapped[str | None] = mapped_column(String(32), default=None)
    mode: Mapped[str | None] = mapped_column(String(16), default=None)


class SchemaVersion(Base):
    """A version of a subject; its row stays when it is deleted, since records that it wrote may still come.

    Attributes:
        writer_id: of what the stream writes by it.
        schema_id: of what was registered.
        revision: rises with each change that the processes must learn.
        published: the last revision that Kafka has acknowledged; 0 for none.
        deleted_at: since when nothing is written by it; None while it is.
        hidden: whether it is no longer listed among the deleted ones either.
        record: what `events.schemas` carries of it, as it was registered.
    """

    __tablename__ = "schema_versions"
    __table_args__ = (UniqueConstraint("subject", "number", name="uq_schema_versions_number"),)

    writer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subject: Mapped[str] = mapped_column(ForeignKey("schema_subjects.name"))
    number: Mapped[int] = mapped_column()
    schema_id: Mapped[int] = mapped_column(ForeignKey("schema_texts.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    record: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(default=1)
    published: Mapped[int] = mapped_column(default=0)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    hidden: Mapped[bool] = mapped_column(default=False)
