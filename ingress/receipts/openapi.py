"""The receipts' part of the OpenAPI document."""

from typing import Any, Final

import msgspec

from ingress.openapi_parts import Schema, answer, ref, refusals, schema
from ingress.receipts.receipt import Receipt
from schemas.errors import ErrorCode

PREFIX = "Receipt"
_CODES: Final = (
    ErrorCode.INVALID_VALUE,
    ErrorCode.MISSING_TOKEN,
    ErrorCode.UNKNOWN_TOKEN,
    ErrorCode.TEAM_DISABLED,
    ErrorCode.TOKEN_SCOPE,
    ErrorCode.EVENT_NOT_FOUND,
    ErrorCode.RATE_LIMITED,
    ErrorCode.UNAVAILABLE,
)


def _get(name: str, summary: str, parameter: Schema) -> Schema:
    responses = {"200": answer("Where it is, as far as it has come.", schema(PREFIX)), **refusals(_CODES)}
    return {
        "get": {
            "operationId": f"get_{name}",
            "summary": summary,
            "security": [{"token": []}, {"bearer": []}, {"basic": []}],
            "parameters": [ref("parameters", "RequestId"), parameter],
            "responses": responses,
        }
    }


def _schemas() -> dict[str, Schema]:
    """What the receipt is made of, by names of its own: the document has an `Accepted` besides."""
    (_,), found = msgspec.json.schema_components((Receipt,), ref_template=f"#/components/schemas/{PREFIX}{{name}}")
    components: dict[str, Any] = {f"{PREFIX}{name}": body for name, body in found.items()}
    return {PREFIX: components.pop(PREFIX * 2), **components}


PATHS: Final[dict[str, Schema]] = {
    "/v1/events": _get(
        "event_by_sender_id",
        "Where an event is, by the id that its sender gave it.",
        {
            "name": "sender_id",
            "in": "query",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 100},
        },
    ),
    "/v1/events/{id}": _get(
        "event",
        "Where an event is, by the id that its POST was answered with.",
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}},
    ),
}
SCHEMAS: Final = _schemas()
