"""Schemas in the accounts database.  Every method is one transaction, but for `register`, which works beside it.

Invariant: a version is committed as unpublished, and marked when Kafka has acknowledged that revision of it, so that
whoever comes later finds what is still to be published.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import msgspec
from sqlalchemy import case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ingress.accounts.access_log import Action, note
from ingress.accounts.actors import Actor
from ingress.accounts.database import Database
from ingress.accounts.schema_models import SchemaCounter, SchemaSubject, SchemaText, SchemaVersion
from ingress.accounts.teams import find_team
from ingress.registry.draft import Draft, Known, digest, draft, parsed, same
from ingress.registry.levels import DEFAULT_LEVEL, Level, Mode
from ingress.registry.refusals import Code, Refused, elsewhere
from ingress.registry.subjects import Held, SubjectState, to_delete
from schemas.errors import Unavailable
from schemas.field_types import TypedSchema
from schemas.registered import Subject, Version, decode_version, parse_subject
from schemas.settings import SettingsError

MAX_TRIES = 10


class Pending(NamedTuple):
    """A version that Kafka has not acknowledged as it is now."""

    version: Version
    revision: int


class Ids(NamedTuple):
    """The ids of a version.

    Attributes:
        id: of what was registered.
        writer_id: of what the stream writes by it.
    """

    id: int
    writer_id: int


class Registration(NamedTuple):
    """What became of a schema that was sent.

    Attributes:
        notes: what whoever sent it should know, in words; nothing where it was registered before.
        is_new: whether it was not registered before.
    """

    version: Version
    notes: tuple[str, ...] = ()
    is_new: bool = True


class Listed(NamedTuple):
    """A subject in a list.

    Attributes:
        versions: how many are not deleted.
        registered_at: the last one.
    """

    subject: Subject
    table: str
    versions: int
    registered_at: datetime


class SchemaStore:
    """The schemas of all teams.

    Every method raises `Unavailable` where the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, subject: Subject, text: str, now: datetime, actor: Actor) -> Registration:
        """Register a schema; one that is registered for the subject already stays as it is.

        Raises:
            Refused: where it may not be registered, saying why.
            NotFound: where there is no such team.
        """
        schema = await asyncio.to_thread(parsed, text)
        for _ in range(MAX_TRIES):
            state, known, stamp = await self._known(subject)
            # Outside of any transaction, and of the loop that everybody else's requests are on: it may take a second.
            made = await asyncio.to_thread(_next, subject, text, schema, state, known)
            if isinstance(made, Version):
                return Registration(made, is_new=False)
            if version := await self._add(made, schema, stamp, now, actor):
                return Registration(version, made.notes)
        raise Unavailable("Too many register schemas at this moment: try again.")

    async def check(self, subject: Subject, text: str) -> Draft | Version:
        """What `register` would make of a schema now: a version to be, or the one that it is already.

        Raises:
            Refused: where it may not be registered, saying why.
            NotFound: where there is no such team.
        """
        schema = await asyncio.to_thread(parsed, text)
        state, known, _ = await self._known(subject)
        return await asyncio.to_thread(_next, subject, text, schema, state, known)

    async def claim(self, registry: str | None) -> None:
        """Say which registry the schemas are of, before any work on them: the host of another one, or None for ours.

        Raises:
            SettingsError: where they are of ours, and another one is to give ids, or the other way round.
        """
        async with self._database.writing() as session:
            counter = await _locked(session)
            has_own = counter.mirrors is None and await session.scalar(select(SchemaVersion.writer_id).limit(1))
            if registry and has_own:
                words = "the accounts database holds schemas of the console's own registry, whose ids mean others there"
                raise SettingsError(f"SCHEMA_REGISTRY_URL must not be set: {words}.")
            if counter.mirrors and not registry:
                raise SettingsError(
                    f"SCHEMA_REGISTRY_URL must be set: the schemas are of the one at {counter.mirrors}."
                )
            counter.mirrors = registry

    async def draft_for(self, subject: Subject, text: str, level: Level) -> tuple[Draft, int]:
        """What another registry's schema becomes as the next version of a subject, and the stamp for `keep`.

        Raises:
            Refused: where it may not be, saying why.
            NotFound: where there is no such team.
        """
        schema = await asyncio.to_thread(parsed, text)
        _, known, stamp = await self._known(subject, mirrored=True)
        return await asyncio.to_thread(draft, subject, text, schema, replace(known, level=level)), stamp

    async def keep(self, made: Draft, ids: Ids, stamp: int, now: datetime, actor: Actor) -> Version | None:
        """Add a version that another registry has; None where somebody has added something since it was drafted.

        Raises:
            Refused: where another version is written by the same id.
        """
        async with self._database.writing() as session:
            counter = await _locked(session)
            if counter.next_id != stamp:
                return None
            counter.next_id += 1
            if (other := await session.get(SchemaVersion, ids.writer_id)) is not None:
                words = f"{other.subject}, version {other.number}, is written by the id {ids.writer_id} already"
                raise Refused(Code.NOT_PERMITTED, f"{words}: the registry gives ids a second time.")
            if await session.get(SchemaText, ids.id) is None:
                of_it = sha256(f"{ids.id} {made.text}".encode()).digest()
                session.add(SchemaText(id=ids.id, digest=of_it, text=made.text))
            return await _insert(session, made, ids, now, actor)

    async def take_back(self, version: Version, now: datetime, actor: Actor) -> None:
        """Use a version again that was deleted."""
        subject = str(version.subject)
        change = {"deleted_at": None, "hidden": False, "revision": SchemaVersion.revision + 1}
        async with self._database.writing() as session:
            of_it = SchemaVersion.writer_id == version.writer_id
            await session.execute(update(SchemaVersion).where(of_it).values(**change))
            action, detail = Action.SCHEMA_REGISTERED, f"version {version.number}, again"
            note(session, action, now, actor, team=version.subject.team, subject=subject, detail=detail)

    async def live_names(self) -> set[str]:
        """The names of all teams' subjects that have a version that is not deleted."""
        query = select(SchemaVersion.subject).where(SchemaVersion.deleted_at.is_(None)).distinct()
        async with self._database.reading() as session:
            return set((await session.scalars(query)).all())

    async def subjects(self, team: str) -> list[SubjectState]:
        """All subjects of a team, by name, with all that they ever held."""
        of_team = select(SchemaSubject).where(SchemaSubject.team == team)
        of_them = select(SchemaVersion).join(SchemaSubject, SchemaSubject.name == SchemaVersion.subject)
        versions = defaultdict[str, list[SchemaVersion]](list)
        async with self._database.reading() as session:
            rows = (await session.scalars(of_team.order_by(SchemaSubject.name))).all()
            for each in await session.scalars(of_them.where(SchemaSubject.team == team).order_by(SchemaVersion.number)):
                versions[each.subject].append(each)
        return [_state(row, versions[row.name]) for row in rows]

    async def listed(self, team: str) -> list[Listed]:
        """A team's subjects by name, those with only deleted versions too, without a look into any schema."""
        live = func.count(case((SchemaVersion.deleted_at.is_(None), 1)))
        query = select(SchemaSubject.name, SchemaSubject.table_name, live, func.max(SchemaVersion.created_at))
        query = query.join(SchemaVersion, SchemaVersion.subject == SchemaSubject.name)
        query = query.where(SchemaSubject.team == team, SchemaVersion.hidden.is_(False))
        async with self._database.reading() as session:
            rows = (await session.execute(query.group_by(SchemaSubject.name, SchemaSubject.table_name))).all()
        return sorted(
            (Listed(parse_subject(name), table, versions, at) for name, table, versions, at in rows),
            key=lambda each: (each.subject.event, each.subject.major),
        )

    async def names(self, team: str, *, deleted: bool) -> list[str]:
        """The names of a team's subjects that have a version; on demand of those, too, that have only deleted ones."""
        query = select(SchemaVersion.subject).join(SchemaSubject, SchemaSubject.name == SchemaVersion.subject)
        query = query.where(SchemaSubject.team == team, SchemaVersion.hidden.is_(False)).distinct()
        if not deleted:
            query = query.where(SchemaVersion.deleted_at.is_(None))
        async with self._database.reading() as session:
            return sorted((await session.scalars(query)).all())

    async def subject(self, name: str) -> SubjectState | None:
        """One subject; None where nothing was ever registered for it."""
        async with self._database.reading() as session:
            return await _found(session, name)

    async def text(self, schema_id: int) -> str | None:
        """What was registered, or is written, by this id; None where there is none."""
        async with self._database.reading() as session:
            if (found := await session.get(SchemaText, schema_id)) is not None:
                return found.text
            row = await session.get(SchemaVersion, schema_id)
            return None if row is None else msgspec.json.encode(_version(row).writer_schema).decode()

    async def versions_of(self, team: str, schema_id: int) -> list[Held]:
        """The team's versions with this id, be it of what was registered or of what is written."""
        is_it = (SchemaVersion.schema_id == schema_id) | (SchemaVersion.writer_id == schema_id)
        query = select(SchemaVersion).join(SchemaSubject, SchemaSubject.name == SchemaVersion.subject)
        async with self._database.reading() as session:
            rows = await session.scalars(
                query.where(SchemaSubject.team == team, is_it).order_by(SchemaVersion.writer_id)
            )
            return [_held(row) for row in rows.all()]

    async def delete(
        self, subject: Subject, asked: str | None, now: datetime, actor: Actor, *, permanent: bool
    ) -> list[int]:
        """Delete one version, or all where none is asked for; returns their numbers.

        Raises:
            Refused: where there is nothing to delete.
        """
        async with self._database.writing() as session:
            state = await _found(session, str(subject), lock=True) or SubjectState(str(subject), ())
            numbers = to_delete(state, asked, permanent=permanent)
            change: dict[str, object] = {"hidden": True}
            if not permanent:
                change = {"deleted_at": now, "revision": SchemaVersion.revision + 1}
            these = SchemaVersion.subject == str(subject), SchemaVersion.number.in_(numbers)
            await session.execute(update(SchemaVersion).where(*these).values(**change))
            detail = f"version {', '.join(map(str, numbers))}{', permanently' * permanent}"
            note(session, Action.SCHEMA_DELETED, now, actor, team=subject.team, subject=str(subject), detail=detail)
        return numbers

    async def change_rules(
        self, subject: Subject, changes: dict[str, Level | Mode | None], now: datetime, actor: Actor
    ) -> SubjectState | None:
        """Change a subject's `compatibility` or `mode`; returns it as it was, None where there is no such subject."""
        async with self._database.writing() as session:
            before = await _found(session, str(subject), lock=True)
            if before is None:
                return None
            changed = {name: None if word is None else word.value for name, word in changes.items()}
            await session.execute(update(SchemaSubject).where(SchemaSubject.name == str(subject)).values(**changed))
            detail = ", ".join(f"{name} {word or 'by default'}" for name, word in changes.items())
            action = Action.SCHEMA_RULES_CHANGED
            note(session, action, now, actor, team=subject.team, subject=str(subject), detail=detail)
        return before

    async def pending(self) -> list[Pending]:
        """What is to be published, in the order of its registration."""
        query = select(SchemaVersion).where(SchemaVersion.published < SchemaVersion.revision)
        async with self._database.reading() as session:
            rows = await session.scalars(query.order_by(SchemaVersion.writer_id))
            return [Pending(_version(row), row.revision) for row in rows.all()]

    async def mark_published(self, pending: Pending) -> None:
        """Note what Kafka has acknowledged.

        A version that has changed meanwhile is to be published anew, even where somebody else did so: ours may lie
        behind theirs in the topic.
        """
        of_it = SchemaVersion.writer_id == pending.version.writer_id
        async with self._database.writing() as session:
            await session.execute(update(SchemaVersion).where(of_it).values(published=pending.revision))

    async def _known(self, subject: Subject, *, mirrored: bool = False) -> tuple[SubjectState, Known, int]:
        """What counts for a new version, and the stamp of that."""
        async with self._database.reading() as session:
            await find_team(session, subject.team)
            counter = (await session.scalars(select(SchemaCounter))).one()
            if (counter.mirrors is not None) != mirrored:
                raise Refused(Code.NOT_PERMITTED, elsewhere(counter.mirrors))
            stamp = counter.next_id
            rows = await session.execute(
                select(SchemaSubject.name, SchemaSubject.table_name).where(SchemaSubject.team == subject.team)
            )
            tables: dict[str, str] = {row.name: row.table_name for row in rows}
            state = await _found(session, str(subject)) or SubjectState(str(subject), ())
        majors = [Subject(subject.team, subject.event, major) for major in (1, subject.major - 1)]
        known = Known(
            versions=tuple(held.version for held in state.held),
            first_table=tables.get(str(majors[0])),
            has_previous_major=subject.major == 1 or str(majors[1]) in tables,
            tables=frozenset(table for name, table in tables.items() if name != str(subject)),
            subjects=len(tables),
            level=state.level or DEFAULT_LEVEL,
            mode=state.mode or Mode.READWRITE,
        )
        return state, known, stamp

    async def _add(self, made: Draft, schema: TypedSchema, stamp: int, now: datetime, actor: Actor) -> Version | None:
        """Add a version; None where somebody has registered something since it was drafted."""
        async with self._database.writing() as session:
            counter = await _locked(session)
            if counter.next_id != stamp:
                return None
            wanted = digest(schema)
            schema_id = await session.scalar(select(SchemaText.id).where(SchemaText.digest == wanted))
            if schema_id is None:
                schema_id, counter.next_id = counter.next_id, counter.next_id + 1
                session.add(SchemaText(id=schema_id, digest=wanted, text=made.text))
            writer_id, counter.next_id = counter.next_id, counter.next_id + 1
            return await _insert(session, made, Ids(schema_id, writer_id), now, actor)


async def _locked(session: AsyncSession) -> SchemaCounter:
    return (await session.scalars(select(SchemaCounter).with_for_update())).one()


async def _insert(session: AsyncSession, made: Draft, ids: Ids, now: datetime, actor: Actor) -> Version:
    version, subject, team = made.version(*ids), str(made.subject), made.subject.team
    if await session.get(SchemaSubject, subject) is None:
        session.add(SchemaSubject(name=subject, team=team, table_name=made.table))
    await session.flush()
    row = SchemaVersion(
        writer_id=ids.writer_id,
        subject=subject,
        number=made.number,
        schema_id=ids.id,
        created_at=now,
        record=version.encode().decode(),
    )
    session.add(row)
    detail = f"version {made.number}, id {ids.id}, table {made.table}"
    note(session, Action.SCHEMA_REGISTERED, now, actor, team=team, subject=subject, detail=detail)
    return version


def _next(subject: Subject, text: str, schema: TypedSchema, state: SubjectState, known: Known) -> Draft | Version:
    return same(schema, state.live) or draft(subject, text, schema, known)


async def _found(session: AsyncSession, name: str, *, lock: bool = False) -> SubjectState | None:
    row = await session.get(SchemaSubject, name, with_for_update=lock)
    if row is None:
        return None
    query = select(SchemaVersion).where(SchemaVersion.subject == name).order_by(SchemaVersion.number)
    return _state(row, (await session.scalars(query)).all())


def _state(row: SchemaSubject, versions: Sequence[SchemaVersion]) -> SubjectState:
    return SubjectState(
        row.name,
        tuple(_held(each) for each in versions),
        Level(row.compatibility) if row.compatibility else None,
        Mode(row.mode) if row.mode else None,
    )


def _held(row: SchemaVersion) -> Held:
    return Held(_version(row), row.created_at, row.deleted_at, row.hidden)


def _version(row: SchemaVersion) -> Version:
    return msgspec.structs.replace(decode_version(row.record.encode()), deleted=row.deleted_at is not None)
