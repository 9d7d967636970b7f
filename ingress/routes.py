"""What the public listener does, path by path; `openapi` describes it."""

from aiohttp import web

from ingress import answers, openapi
from ingress.answer import Answer
from ingress.handlers import Events
from ingress.health import Health
from ingress.receipts.handler import Receipts
from ingress.revocation import Revocation
from ingress.route import PARAMETER, Act, Route
from schemas.segment import CALLS


def routes(events: Events, preflight: Act, receipts: Receipts, revocation: Revocation, health: Health) -> list[Route]:
    """Every path; `preflight` answers what browsers ask before they send events."""
    intakes = {"event": events.event_intake(), "batch": events.batch_intake(), "b": events.batch_intake()}
    intakes |= {path: events.call_intake(kind) for kind in CALLS for path in (kind, kind[0])}
    description = openapi.document()

    async def describe(_request: web.BaseRequest, name: str) -> Answer:
        return answers.document(description, name)

    return [
        *(Route(f"/v1/{path}", events.finish, intake, OPTIONS=preflight) for path, intake in intakes.items()),
        Route("/v1/events", GET=receipts.get_by_sender_id),
        Route(f"/v1/events/{PARAMETER}", GET=receipts.get_by_id),
        Route("/v1/token/revoke", POST=revocation.post),
        Route("/openapi.json", GET=describe, HEAD=describe),
        Route("/livez", GET=health.live, HEAD=health.live),
        Route("/readyz", GET=health.ready, HEAD=health.ready),
    ]
