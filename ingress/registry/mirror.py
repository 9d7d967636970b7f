"""Mirrors an external registry: what is registered there holds here, as if it had been sent to our own.

Invariant: whatever the stream is told to write by has an id there already.  A version that our rules refuse is passed
over, and looked at again with the next pass; nothing there ends the mirror.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import NoReturn

from ingress.accounts.actors import Actor
from ingress.accounts.errors import NotFound
from ingress.accounts.teams import Teams
from ingress.backoff import pause_seconds
from ingress.registry.draft import checked_subject
from ingress.registry.external import ExternalRegistry
from ingress.registry.publisher import Publisher
from ingress.registry.refusals import Code, Refused
from ingress.registry.store import Ids, SchemaStore
from ingress.registry.subjects import SubjectState
from ingress.registry.written import ENVELOPE_SUBJECT, envelope_schemas, mirrored, written_subject
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.metrics import SCHEMA_MIRROR_WAITS, SCHEMA_VERSIONS_REFUSED
from schemas.registered import EnvelopeId, Subject, Version

PUBLISH_SECONDS = 10
ANY = 0
"""No version's number."""

_log = get_logger(__name__)


class Mirror:
    """Follows a registry for ever.

    Args:
        registry: is asked.
        store: holds the versions.
        teams: whose subjects count.
        publisher: tells stream and sink.
        rest_seconds: between two passes.
    """

    def __init__(
        self, registry: ExternalRegistry, store: SchemaStore, teams: Teams, publisher: Publisher, rest_seconds: float
    ) -> None:
        self._registry = registry
        self._store = store
        self._teams = teams
        self._publisher = publisher
        self._rest_seconds = rest_seconds
        self._actor = Actor(f"registry at {registry.host}")
        self._greeted = False
        self._envelope_ids: list[EnvelopeId] = []
        # The numbers with which a subject was as it is there.
        self._settled: dict[Subject, list[int]] = {}
        self._refused: dict[tuple[Subject, int], str] = {}

    async def run(self) -> NoReturn:
        """Mirror, for ever; while the registry, the database or Kafka is away, try again with back-off.

        Raises:
            SettingsError: where the schemas that are held are not that registry's.
        """
        failures = 0
        async with self._registry:
            while True:
                try:
                    await self._pass()
                except Unavailable as error:
                    if not failures:
                        todo = "nothing is lost: what is registered here holds, and it is tried until it succeeds"
                        _log.warning("registry_not_mirrored", reason=str(error), todo=todo)
                    failures += 1
                    SCHEMA_MIRROR_WAITS.set(1)
                    # It may come back as another one.
                    self._greeted = False
                    self._settled.clear()
                    await asyncio.sleep(pause_seconds(failures))
                    continue
                if failures:
                    _log.info("registry_mirrored_again", registry=self._registry.host)
                failures = 0
                SCHEMA_MIRROR_WAITS.set(0)
                await asyncio.sleep(self._rest_seconds)

    async def _pass(self) -> None:
        if not self._greeted:
            await self._greet()
        there = await self._subjects_there()
        gone = {checked_subject(name) for name in await self._store.live_names()} - there
        refused = set[tuple[Subject, int]]()
        # A major comes after the one before it.
        for subject in sorted(there | gone, key=lambda each: (each.team, each.event, each.major)):
            try:
                numbers = await self._registry.versions(str(subject)) if subject in there else []
            except Refused as error:
                refused.add((subject, ANY))
                self._tell((subject, ANY), str(error))
                continue
            if self._settled.get(subject) != numbers and await self._follow(subject, numbers, refused):
                self._settled[subject] = numbers
        self._refused = {key: why for key, why in self._refused.items() if key in refused}
        SCHEMA_VERSIONS_REFUSED.set(len(refused))

    async def _greet(self) -> None:
        """Give the envelope's versions ids there, and tell them before anything else."""
        await self._store.claim(self._registry.host)
        schemas = envelope_schemas().items()
        try:
            ids = [
                EnvelopeId(number, await self._registry.register(ENVELOPE_SUBJECT, schema))
                for number, schema in schemas
            ]
        except Refused as error:
            # Without them there is nothing to mirror; somebody may mend it there.
            raise Unavailable(str(error)) from error
        if ids != self._envelope_ids:
            self._publisher.publish_first(ids)
            await self._publisher.published(PUBLISH_SECONDS)
            self._envelope_ids = ids
            _log.info("envelope_registered", registry=self._registry.host, ids=[each.id for each in ids])
        self._greeted = True

    async def _subjects_there(self) -> set[Subject]:
        """Those that are of a team of ours."""
        teams = {team.slug for team in await self._teams.teams()}
        return {subject for subject in _subjects(await self._registry.subjects()) if subject.team in teams}

    async def _follow(self, subject: Subject, numbers: list[int], refused: set[tuple[Subject, int]]) -> bool:
        """Bring a subject to these versions; whether it is there now."""
        state = await self._store.subject(str(subject)) or SubjectState(str(subject), ())
        held = {each.version.number: each.version for each in state.held}
        live = {version.number: version for version in state.live}
        gone, new = live.keys() - set(numbers), set(numbers) - live.keys()
        # The stream writes by the last one; only another id is a word against it.
        with suppress(Refused):
            if (last := max(live.keys() - gone, default=None)) and not await self._is_there(live[last]):
                gone.add(last)
                new.add(last)
        # What is gone first, as a new version has to be compatible with what is not.
        for number in sorted(gone):
            await self._delete(live[number])
        settled = True
        for number in sorted(new):
            try:
                settled &= await self._take(subject, number, held.get(number))
            except (Refused, NotFound) as error:
                settled = False
                refused.add((subject, number))
                self._tell((subject, number), str(error))
        return settled

    async def _take(self, subject: Subject, number: int, deleted: Version | None) -> bool:
        """Take a version, perhaps one that was deleted here; whether that was done."""
        found = await self._registry.version(str(subject), number)
        if found is None:
            return False
        if deleted is not None:
            await self._take_back(deleted)
            return True
        level = await self._registry.level(str(subject))
        made, stamp = await self._store.draft_for(subject, found.text, level)
        made = mirrored(made, number)
        ids = Ids(found.id, await self._registry.register(written_subject(subject), made.writer_schema))
        version = await self._store.keep(made, ids, stamp, _now(), self._actor)
        if version is None:
            return False
        _log.info("schema_mirrored", subject=str(subject), version=number, deleted=False, notes=list(made.notes))
        return True

    async def _is_there(self, version: Version) -> bool:
        """Whether the registry has a version by the ids that it has here."""
        found = await self._registry.version(str(version.subject), version.number)
        if found is None or found.id != version.id:
            return False
        ours = await self._registry.register(written_subject(version.subject), version.writer_schema)
        return ours == version.writer_id

    async def _delete(self, version: Version) -> None:
        subject, number = version.subject, version.number
        # Another console may have been first.
        with suppress(Refused):
            await self._store.delete(subject, str(number), _now(), self._actor, permanent=False)
            _log.info("schema_mirrored", subject=str(subject), version=number, deleted=True)

    async def _take_back(self, version: Version) -> None:
        """A registry that lost its versions, or hid them, has them again."""
        subject, number = str(version.subject), version.number
        if not await self._is_there(version):
            words = f"Subject '{subject}' had another version {number} before, which records name"
            raise Refused(Code.NOT_PERMITTED, f"{words}: register it once more, so that it has a number of its own.")
        await self._store.take_back(version, _now(), self._actor)
        _log.info("schema_mirrored", subject=subject, version=number, deleted=False)

    def _tell(self, which: tuple[Subject, int], why: str) -> None:
        """Once for each reason."""
        if self._refused.get(which) != why:
            self._refused[which] = why
            todo = "register one that can be used, and delete this one: its events are as if it were not there"
            _log.warning("schema_refused", subject=str(which[0]), version=which[1], reason=why, todo=todo)


def _subjects(names: Iterable[str]) -> Iterable[Subject]:
    """Those that could be a team's."""
    for name in names:
        try:
            yield checked_subject(name)
        except Refused:
            continue


def _now() -> datetime:
    return datetime.now(UTC)
