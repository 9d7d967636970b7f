"""A schema proposed from a team's recent events, and how they fit it."""

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus

from ingress.console.errors import PageError
from ingress.console.schema_view import pretty
from ingress.receipts.warehouse import Warehouse
from schemas.fit import FieldFit, fit
from schemas.proposal import propose
from schemas.registered import Subject
from schemas.typed import parse_schema

MAX_EVENTS = 500
MAX_ASKING = 2


@dataclass(frozen=True, slots=True)
class Proposal:
    """What could be registered.

    Attributes:
        schema: as people read it; empty where no property could be a field.
        events: how many it was made from.
        fits: how each field fares with them.
    """

    schema: str
    events: int
    fits: list[FieldFit]


class Proposals:
    """Makes them, few at a time: a question for events is a large one."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._asking = 0

    async def of(self, subject: Subject) -> Proposal:
        """A proposal for the subject's event.

        Raises:
            Unavailable: where ClickHouse does not answer.
            PageError: where too many ask at once.
        """
        if self._asking >= MAX_ASKING:
            raise PageError(
                HTTPStatus.TOO_MANY_REQUESTS, "Others ask for a proposal as well: try again in a moment.", 1
            )
        self._asking += 1
        try:
            samples = await self._warehouse.recent_properties(subject.team, subject.event, MAX_EVENTS)
            return await asyncio.to_thread(_proposal, subject.event, samples)
        finally:
            self._asking -= 1


def _proposal(event: str, samples: list[bytes]) -> Proposal:
    document = propose(event, samples)
    if not document["fields"]:
        return Proposal("", len(samples), [])
    text = json.dumps(document)
    return Proposal(pretty(text), len(samples), fit(parse_schema(text), samples))
