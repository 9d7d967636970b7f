"""Registering and deleting a team's schemas, by the same store as the registry's REST API.

Invariant: whoever comes here may change schemas; the route table asks for that, and the pages offer nothing else.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from aiohttp import web

from ingress.accounts.errors import NotFound
from ingress.console.errors import form_status
from ingress.console.forms import Form, read_form
from ingress.console.notices import Notice, tell
from ingress.console.schema_pages import find_subject
from ingress.console.schema_proposals import Proposal, Proposals
from ingress.console.schema_view import (
    column_rows,
    current_of,
    majors_in_use,
    own_subject,
    pretty,
    shown_of,
    subject_path,
    table_note,
)
from ingress.console.services import Services
from ingress.console.visits import actor_of, now, see, team_of
from ingress.registry.draft import MAX_EVENT_NAME_CHARACTERS, Draft, checked_subject
from ingress.registry.entrance import MAX_BODY_BYTES
from ingress.registry.handlers import PUBLISH_SECONDS
from ingress.registry.publisher import Unpublished
from ingress.registry.refusals import Code, Refused
from schemas.errors import Unavailable
from schemas.registered import Subject, Version

_MAX_MAJOR_DIGITS = 4


@dataclass(frozen=True, slots=True)
class SchemaForm:
    """The fields as they were typed."""

    event: str = ""
    major: str = "1"
    schema: str = ""

    @classmethod
    def of(cls, form: Form) -> "SchemaForm":
        """What was posted; a browser ends the lines of a text in its own way."""
        return cls(form.text("event"), form.text("major") or "1", form.text("schema").replace("\r\n", "\n"))

    def subject(self, team: str) -> Subject:
        """Whose schema it is to be.

        Raises:
            Refused: where it cannot be one, with words for who typed it.
        """
        if not self.event:
            raise Refused(Code.INVALID_SUBJECT, "Write the event's name as it is sent.")
        major = self.major
        if not (major.isascii() and major.isdigit() and len(major) <= _MAX_MAJOR_DIGITS and int(major) > 0):
            raise Refused(Code.INVALID_SUBJECT, "The major is a whole number from 1 on.")
        return checked_subject(str(Subject(team, self.event, int(major))))


class SchemaForms:
    """The changes that Owners make to their team's schemas."""

    def __init__(self, services: Services) -> None:
        self._services = services
        warehouse = services.live.warehouse
        self._proposals = Proposals(warehouse) if warehouse else None

    async def register_form(self, request: web.Request) -> web.Response:
        """Empty, or with what a subject has, to be changed."""
        form, name = SchemaForm(), request.query.get("subject", "")
        if subject := own_subject(team_of(request), name):
            state = await self._services.schemas.subject(name)
            text = pretty(current_of(state).version.schema) if state and shown_of(state) else ""
            form = SchemaForm(subject.event, str(subject.major), text)
        return self._page(request, form)

    async def register(self, request: web.Request) -> web.Response:
        """Register a schema, or say what would become of it, or propose one."""
        posted = await read_form(request, MAX_BODY_BYTES)
        form, store = SchemaForm.of(posted), self._services.schemas
        try:
            subject = form.subject(team_of(request))
            if posted.text("do") == "propose" and self._proposals:
                return await self._propose(request, form, self._proposals.of(subject))
            if posted.text("do") != "register":
                return self._page(request, form, checked=await store.check(subject, form.schema))
            made = await store.register(subject, form.schema, now(), actor_of(request))
        except Refused as error:
            return self._page(request, form, str(error), reasons=error.details)
        page = f"{subject_path(subject)}?version={made.version.number}"
        return await self._published(page, Notice.SCHEMA_REGISTERED if made.is_new else Notice.SCHEMA_KNOWN)

    async def delete_form(self, request: web.Request) -> web.Response:
        """What deleting means."""
        state = await find_subject(self._services, request)
        version = _live(state.live, request)
        subject, rest = version.subject, [each.number for each in state.live if each.number != version.number]
        majors = majors_in_use(await self._services.schemas.listed(subject.team), subject.event)
        return self._services.pages.answer(
            request,
            "schema_delete.html",
            version=version,
            back=subject_path(subject),
            in_use=majors[-1:] == [subject.major] and version.number > max(rest, default=0),
            before=max(rest, default=None),
            major_before=majors[-2] if len(majors) > 1 else None,
        )

    async def delete(self, request: web.Request) -> web.Response:
        """Let nothing be written by it any more."""
        state = await find_subject(self._services, request)
        version = _live(state.live, request)
        try:
            await self._services.schemas.delete(
                version.subject, str(version.number), now(), actor_of(request), permanent=False
            )
        except Refused as error:
            raise NotFound(str(error)) from error
        return await self._published(subject_path(version.subject), Notice.SCHEMA_DELETED)

    async def _propose(self, request: web.Request, form: SchemaForm, made: Awaitable[Proposal]) -> web.Response:
        """The form with what could be registered instead of what stood there."""
        try:
            proposal = await made
        except Unavailable as error:
            page = self._page(request, form, str(error))
            page.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
            return page
        if not proposal.events:
            return self._page(request, form, f"There are no events named {form.event} yet.")
        if not proposal.schema:
            return self._page(request, form, "The events of this name have no properties that could be fields.")
        return self._page(request, replace(form, schema=proposal.schema), proposal=proposal)

    async def _published(self, path: str, notice: Notice) -> web.Response:
        """Lead on when Kafka has it; where that takes long, say so."""
        try:
            await self._services.publisher.published(PUBLISH_SECONDS)
        except Unpublished:
            notice = Notice.SCHEMA_WAITS
        return tell(see(path), notice)

    def _page(  # noqa: PLR0913 - what may stand on it
        self,
        request: web.Request,
        form: SchemaForm,
        problem: str = "",
        *,
        reasons: Sequence[str] = (),
        checked: Draft | Version | None = None,
        proposal: Proposal | None = None,
    ) -> web.Response:
        return self._services.pages.answer(
            request,
            "schema_register.html",
            status=form_status(problem),
            form=form,
            max_event=MAX_EVENT_NAME_CHARACTERS,
            problem=problem,
            reasons=reasons,
            checked=checked,
            is_known=isinstance(checked, Version),
            columns=column_rows(checked) if checked else [],
            table_note=table_note(checked.subject, checked.table) if checked else "",
            proposal=proposal,
            may_propose=self._proposals is not None,
        )


def _live(versions: list[Version], request: web.Request) -> Version:
    """The version in the path.

    Raises:
        NotFound: where there is none, or it is deleted.
    """
    for version in versions:
        if str(version.number) == request.match_info["version"]:
            return version
    raise NotFound("There is no such version, or it is deleted already.")
