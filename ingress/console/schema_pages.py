"""`/teams/{team}/schemas`: what is registered for a team's events, for all its members."""

from aiohttp import web

from ingress.accounts.errors import NotFound
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
from ingress.console.snippets import infer_line, register_line
from ingress.console.visits import team_of
from ingress.registry.levels import DEFAULT_LEVEL, Mode
from ingress.registry.subjects import SubjectState
from schemas.registered import Subject

EXAMPLE_EVENT = "Order Completed"


class SchemaPages:
    """What is there; `SchemaForms` changes it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def of_team(self, request: web.Request) -> web.Response:
        """The team's subjects; where there is none, what they are for."""
        team, url = team_of(request), self._services.settings.console_url
        example = Subject(team, EXAMPLE_EVENT)
        return self._services.pages.answer(
            request,
            "schemas.html",
            rows=await self._services.schemas.listed(team),
            subject_path=subject_path,
            infer=infer_line(team, EXAMPLE_EVENT),
            example=str(example),
            curl=register_line(url, "YOUR_TOKEN", str(example)),
        )

    async def of_subject(self, request: web.Request) -> web.Response:
        """A subject's versions, and all of the one that is asked for."""
        state = await find_subject(self._services, request)
        held, asked = shown_of(state), request.query.get("version", "")
        shown = current_of(state)
        if asked:
            shown = next((each for each in held if str(each.version.number) == asked), shown)
        subject = shown.version.subject
        majors = majors_in_use(await self._services.schemas.listed(subject.team), subject.event)
        in_use = state.live[-1].number if majors and majors[-1] == subject.major else None
        return self._services.pages.answer(
            request,
            "schema.html",
            subject=subject,
            address=subject_path(subject),
            held=held,
            shown=shown,
            in_use=in_use,
            columns=column_rows(shown.version),
            table_note=table_note(subject, shown.version.table),
            text=pretty(shown.version.schema),
            level=state.level or DEFAULT_LEVEL,
            read_only=state.mode is Mode.READONLY,
        )


async def find_subject(services: Services, request: web.Request) -> SubjectState:
    """The subject in the path, with a version that can be seen.

    Raises:
        NotFound: where the team has none such.
    """
    name = request.match_info["subject"]
    state = await services.schemas.subject(name) if own_subject(team_of(request), name) else None
    if state is None or not shown_of(state):
        raise NotFound("The team has no such schema.")
    return state
