"""The registry's REST API, as Confluent's clients use it.

Invariant: what a team may not know of is answered as if it were not there.
"""

import asyncio
import json
from datetime import UTC, datetime
from importlib.resources import files

from aiohttp import web

from ingress.accounts.actors import Actor
from ingress.registry.draft import checked_subject, parsed, same, why_not_compatible
from ingress.registry.entrance import HOLDER, answer, flag, read_body, schema_in
from ingress.registry.levels import DEFAULT_LEVEL, Level, Mode, parse_level, parse_mode
from ingress.registry.publisher import Publisher
from ingress.registry.refusals import Code, Refused, no_schema, no_subject
from ingress.registry.store import SchemaStore
from ingress.registry.subjects import SubjectState
from schemas.registered import FIRST_ID, Subject, Version

PUBLISH_SECONDS = 5.0
_MAX_ID_DIGITS = 9
_ENVELOPES = {number: files("schemas").joinpath(f"avro/event/v{number}.avsc").read_text("utf-8") for number in (1, 2)}


class Registry:
    """Answers requests whose token is known."""

    def __init__(self, store: SchemaStore, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher

    async def subjects(self, request: web.Request) -> web.Response:
        """The names of the team's subjects."""
        names = await self._store.names(request[HOLDER].team, deleted=flag(request, "deleted"))
        prefix = request.query.get("subjectPrefix", "")
        return answer([name for name in names if name.startswith(prefix)])

    async def register(self, request: web.Request) -> web.Response:
        """Register a schema, and answer when Kafka has it."""
        subject, text = _own(request), schema_in(await read_body(request))
        made = await self._store.register(subject, text, datetime.now(UTC), _actor(request))
        await self._publisher.published(PUBLISH_SECONDS)
        version = made.version
        columns = {column.name: column.type for column in version.columns}
        return answer(_shown(version) | {"table": version.table, "columns": columns, "notes": list(made.notes)})

    async def look_up(self, request: web.Request) -> web.Response:
        """The version of a subject that is this schema."""
        state = await self._readable(request)
        schema = await asyncio.to_thread(parsed, schema_in(await read_body(request)))
        listed = state.listed(deleted=flag(request, "deleted"))
        if not listed:
            raise no_subject(state.name)
        if (found := await asyncio.to_thread(same, schema, listed)) is None:
            raise no_schema()
        return answer(_shown(found))

    async def versions(self, request: web.Request) -> web.Response:
        """The numbers of a subject's versions."""
        state = await self._readable(request)
        if not (listed := state.listed(deleted=flag(request, "deleted"))):
            raise no_subject(state.name)
        return answer([version.number for version in listed])

    async def version(self, request: web.Request) -> web.Response:
        """One version of a subject."""
        return answer(_shown(await self._version(request)))

    async def version_schema(self, request: web.Request) -> web.Response:
        """Its schema, and nothing around it."""
        return answer(json.loads((await self._version(request)).schema))

    async def by_id(self, request: web.Request) -> web.Response:
        """The schema with an id: of what was registered, or of what the stream writes."""
        return answer({"schema": await self._text(request)})

    async def schema_by_id(self, request: web.Request) -> web.Response:
        """The same, and nothing around it."""
        return answer(json.loads(await self._text(request)))

    async def versions_by_id(self, request: web.Request) -> web.Response:
        """The team's versions with an id."""
        found = await self._by_id(request)
        return answer([{"subject": str(each.subject), "version": each.number} for each in found])

    async def subjects_by_id(self, request: web.Request) -> web.Response:
        """The team's subjects with an id."""
        return answer(sorted({str(each.subject) for each in await self._by_id(request)}))

    async def types(self, _request: web.Request) -> web.Response:
        """The kinds of schema that are taken."""
        return answer(["AVRO"])

    async def check(self, request: web.Request) -> web.Response:
        """Whether a schema could be the next version; with `verbose`, why not."""
        state = await self._readable(request)
        schema = await asyncio.to_thread(parsed, schema_in(await read_body(request)))
        versions = [held.version for held in state.held]
        against = state.live
        if (asked := request.match_info.get("version")) is not None:
            against = [state.find(asked)]
        level = state.level or DEFAULT_LEVEL
        found = await asyncio.to_thread(why_not_compatible, schema, versions, level, against)
        messages = {"messages": found} if flag(request, "verbose") else {}
        return answer({"is_compatible": not found, **messages})

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a subject or a version of it, and answer when Kafka has it."""
        subject, asked = _own(request), request.match_info.get("version")
        permanent = flag(request, "permanent")
        numbers = await self._store.delete(subject, asked, datetime.now(UTC), _actor(request), permanent=permanent)
        await self._publisher.published(PUBLISH_SECONDS)
        return answer(numbers if asked is None else numbers[0])

    async def config(self, request: web.Request) -> web.Response:
        """What is asked of versions."""
        if "subject" not in request.match_info:
            return answer({"compatibilityLevel": DEFAULT_LEVEL})
        state = await self._readable(request)
        if state.level is None and not flag(request, "defaultToGlobal"):
            words = f"Subject '{state.name}' has no compatibility of its own; {DEFAULT_LEVEL} holds."
            raise Refused(Code.NO_COMPATIBILITY, words)
        return answer({"compatibilityLevel": state.level or DEFAULT_LEVEL})

    async def mode(self, request: web.Request) -> web.Response:
        """Whether versions are taken."""
        if "subject" not in request.match_info:
            return answer({"mode": Mode.READWRITE})
        state = await self._readable(request)
        if state.mode is None and not flag(request, "defaultToGlobal"):
            raise Refused(Code.NO_MODE, f"Subject '{state.name}' has no mode of its own; {Mode.READWRITE} holds.")
        return answer({"mode": state.mode or Mode.READWRITE})

    async def change_config(self, request: web.Request) -> web.Response:
        """Ask something else of a subject's versions, or with DELETE what is asked of all."""
        subject, level = _own(request), None
        if request.method == "PUT":
            level = parse_level((await read_body(request)).get("compatibility"))
        before = await self._changed(request, subject, {"compatibility": level})
        return answer(
            {"compatibilityLevel": before.level or DEFAULT_LEVEL} if level is None else {"compatibility": level}
        )

    async def change_mode(self, request: web.Request) -> web.Response:
        """Take versions of a subject or not, or with DELETE as of all."""
        subject, mode = _own(request), None
        if request.method == "PUT":
            mode = parse_mode((await read_body(request)).get("mode"))
        before = await self._changed(request, subject, {"mode": mode})
        return answer({"mode": mode or before.mode or Mode.READWRITE})

    async def change_global(self, _request: web.Request) -> web.Response:
        """What holds for all teams is nobody's to change here."""
        raise Refused(Code.FORBIDDEN, "Change it for a subject of your team: what holds for all of them is fixed.")

    async def _changed(
        self, request: web.Request, subject: Subject, changes: dict[str, Level | Mode | None]
    ) -> SubjectState:
        before = await self._store.change_rules(subject, changes, datetime.now(UTC), _actor(request))
        if before is None:
            raise no_subject(subject)
        return before

    async def _readable(self, request: web.Request) -> SubjectState:
        """The subject in the path, empty where it is not the team's or never was."""
        name = request.match_info["subject"]
        try:
            subject = checked_subject(name)
        except Refused as error:
            raise no_subject(name) from error
        if subject.team != request[HOLDER].team:
            raise no_subject(name)
        found = await self._store.subject(name)
        if found is None:
            raise no_subject(name)
        return found

    async def _version(self, request: web.Request) -> Version:
        state = await self._readable(request)
        return state.find(request.match_info["version"], deleted=flag(request, "deleted"))

    async def _text(self, request: web.Request) -> str:
        number = _id(request)
        if number in _ENVELOPES:
            return _ENVELOPES[number]
        if number < FIRST_ID or (text := await self._store.text(number)) is None:
            raise no_schema()
        return text

    async def _by_id(self, request: web.Request) -> list[Version]:
        await self._text(request)
        found = await self._store.versions_of(request[HOLDER].team, _id(request))
        deleted = flag(request, "deleted")
        return [each.version for each in found if not each.hidden and (deleted or not each.version.deleted)]


def _own(request: web.Request) -> Subject:
    """The subject in the path, for who may change it.

    Raises:
        Refused: where it is another team's, or the token has not the right.
    """
    holder = request[HOLDER]
    if not holder.schemas:
        words = "This token may not change schemas: make one that may with `events token create --schemas`."
        raise Refused(Code.FORBIDDEN, words)
    subject = checked_subject(request.match_info["subject"])
    if subject.team != holder.team:
        words = (
            f"The token is of the team {holder.team}: its subjects are {holder.team}.Purchased an Item and the like."
        )
        raise Refused(Code.FORBIDDEN, words)
    if holder.event_names and subject.event not in holder.event_names:
        raise Refused(Code.FORBIDDEN, f"The token is not for the event {subject.event!r}.")
    return subject


def _actor(request: web.Request) -> Actor:
    return Actor(f"holder of {request[HOLDER].id}", address=request.remote)


def _id(request: web.Request) -> int:
    text = request.match_info["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_ID_DIGITS):
        raise no_schema()
    return int(text)


def _shown(version: Version) -> dict[str, object]:
    return {
        "subject": str(version.subject),
        "version": version.number,
        "id": version.id,
        "schemaType": "AVRO",
        "schema": version.schema,
    }
