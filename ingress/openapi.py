"""What the public listener takes and answers, as an OpenAPI 3.1 document that it serves itself.

Invariant: paths and methods are those of `ingress.routes` (a contract test), the codes those of `schemas.errors`.
"""

from typing import Final

import msgspec

from ingress.batch import Status
from ingress.openapi_parts import Schema, answer, object_schema, ref, refusals, schema
from ingress.receipts import openapi as receipts
from schemas.errors import ErrorCode
from schemas.segment import CALLS

# What a listener answers on any path, and what only stands behind it: of no operation.
ELSEWHERE: Final = frozenset(
    {
        ErrorCode.NOT_FOUND,
        ErrorCode.METHOD_NOT_ALLOWED,
        ErrorCode.MISSING_HEADER,
        ErrorCode.INVALID_HEADER,
        ErrorCode.UNKNOWN_FORMAT,
        ErrorCode.NOT_INSERTABLE,
        ErrorCode.UNKNOWN_SCHEMA,
    }
)
_OF_EVENT: Final = (
    ErrorCode.INVALID_JSON,
    ErrorCode.MISSING_MEMBER,
    ErrorCode.WRONG_TYPE,
    ErrorCode.INVALID_VALUE,
    ErrorCode.INVALID_TIMESTAMP,
    ErrorCode.TOO_DEEP,
    ErrorCode.TOO_LARGE,
)
_OF_POST: Final = (
    *_OF_EVENT,
    ErrorCode.BAD_REQUEST,
    ErrorCode.MISSING_TOKEN,
    ErrorCode.UNKNOWN_TOKEN,
    ErrorCode.TEAM_DISABLED,
    ErrorCode.EVENT_OUT_OF_SCOPE,
    ErrorCode.ORIGIN_NOT_ALLOWED,
    ErrorCode.SLOW_BODY,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.UNSUPPORTED_ENCODING,
    ErrorCode.RATE_LIMITED,
    ErrorCode.UNAVAILABLE,
)

_INTRODUCTION = """\
Events in, answered with 200 only when Kafka has them on all replicas.  Every refusal has a code from a closed list.

503, or no answer, means that it is not known whether the event was kept: send it again with the same `id` and
`timestamp`, and it appears once.  Any other path is 404 `not_found`, any other method 405 `method_not_allowed` with the
header Allow.
"""
_TEXT: Final[Schema] = {"type": ["string", "null"]}
_ID: Final[Schema] = {"type": ["string", "integer", "null"]}
_OBJECT: Final[Schema] = {"type": ["object", "null"], "description": "free JSON, at most 64 levels deep"}
_TIME: Final[Schema] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
    "description": "when it happened, between 1900 and 2299; by default when it was received",
}
_SENDER_ID: Final[Schema] = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": 100,
    "description": "the sender's own id: an event that is sent again with it appears once",
}
_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200}
_WRITE_KEY: Final[Schema] = {"description": "the token, a string, where no header holds it"}
_SENT_AT: Final[Schema] = _TEXT | {
    "description": "when it was sent by the sender's clock, RFC 3339: a clock that is plainly wrong is put right by it"
}


def document() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Events API",
                "version": "1",
                "description": _INTRODUCTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "paths": _paths(),
            "components": {
                "schemas": _SCHEMAS,
                "headers": _HEADERS,
                "parameters": _PARAMETERS,
                "securitySchemes": _SECURITY_SCHEMES,
            },
        }
    )


def _paths() -> Schema:
    posts = {"event": _POST_EVENT, "batch": _POST_BATCH, "b": _POST_BATCH}
    for kind in CALLS:
        posts |= dict.fromkeys((kind, kind[0]), _post_call(kind))
    return {
        **{f"/v1/{path}": _events(path, post) for path, post in posts.items()},
        **receipts.PATHS,
        "/v1/token/revoke": {"post": _REVOKE},
        "/livez": _health("live", "Whether the process lives.", {"200": "Live"}),
        "/readyz": _health("ready", "Whether the process should get requests.", {"200": "Ready", "503": "Ready"}),
        "/openapi.json": _health("openapi", "This document.", {"200": "Document"}),
    }


def _events(path: str, post: Schema) -> Schema:
    """A path that takes events, and tells browsers whether their pages may send any."""
    answers: Schema = {
        "204": {"description": "They may.", "headers": {"X-Request-Id": ref("headers", "RequestId")}},
        **refusals((ErrorCode.ORIGIN_NOT_ALLOWED,)),
    }
    options: Schema = {"summary": "A browser's preflight.", "security": [], "responses": answers}
    return {
        "post": post | {"operationId": f"post_{path}"},
        "options": options | {"operationId": f"options_{path}"},
    }


def _post(summary: str, content: dict[str, Schema], success: str, codes: tuple[ErrorCode, ...]) -> Schema:
    return {
        "summary": summary,
        "security": [{name: []} for name in _SECURITY_SCHEMES],
        "parameters": [ref("parameters", name) for name in _PARAMETERS],
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": schema} for media_type, schema in content.items()},
        },
        "responses": {"200": answer("Kafka has it, on all replicas.", schema(success)), **refusals(codes)},
    }


def _post_call(kind: str) -> Schema:
    content = {"application/json": schema(kind.capitalize())}
    summary = f"Take one `{kind}` of the Segment family, whatever its Content-Type."
    return _post(summary, content, "Accepted", _OF_POST)


def _health(name: str, summary: str, answers: dict[str, str]) -> Schema:
    bodies = {status: answer(summary, schema(body)) for status, body in answers.items()}
    empty = {status: {key: body[key] for key in body if key != "content"} for status, body in bodies.items()}
    return {
        "get": {"operationId": f"get_{name}", "summary": summary, "security": [], "responses": bodies},
        "head": {"operationId": f"head_{name}", "summary": summary, "security": [], "responses": empty},
    }


_CALL: Final[dict[str, Schema]] = {
    "messageId": _SENDER_ID,
    "userId": _ID,
    "anonymousId": _ID,
    "timestamp": _TIME,
    "sentAt": _SENT_AT,
    "context": _OBJECT,
    "writeKey": _WRITE_KEY,
}
_PAGE: Final = object_schema({}, _CALL | {"name": _TEXT, "category": _TEXT, "properties": _OBJECT})
_CALL_SCHEMAS: Final[dict[str, Schema]] = {
    "Track": object_schema({"event": _NAME}, _CALL | {"properties": _OBJECT}),
    "Identify": object_schema({}, _CALL | {"traits": _OBJECT}),
    "Page": _PAGE,
    "Screen": _PAGE,
    "Group": object_schema({}, _CALL | {"groupId": _ID, "traits": _OBJECT}),
    "Alias": object_schema({}, _CALL | {"previousId": _ID, "traits": _OBJECT}),
}
_EVENT: Final = object_schema(
    {"version": {"type": "integer", "const": 1}, "type": {"type": "string", "const": "event"}, "event": _NAME},
    {
        "id": _SENDER_ID,
        "userId": _TEXT,
        "anonymousId": _TEXT,
        "timestamp": _TIME,
        "properties": _OBJECT,
        "context": _OBJECT,
    },
) | {
    "description": "At most 32 KiB by default; what else it holds is kept in the raw topic.",
    "examples": [
        {"version": 1, "type": "event", "event": "Purchased an Item", "properties": {"revenue": "39.95"}, "id": "o-1"}
    ],
}
_RESULT: Final = object_schema(
    {"index": {"type": "integer", "minimum": 0}, "status": {"enum": list(Status)}},
    {
        "id": {"type": "string", "format": "uuid"},
        "code": {"enum": list(ErrorCode)},
        "message": {"type": "string"},
        "field": {"type": "string"},
    },
    closed=True,
)
_RESULTS: Final[Schema] = {"type": "array", "items": schema("Result")}
_FACT: Final[Schema] = {"type": "boolean"}
_SCHEMAS: Final[dict[str, Schema]] = {
    "Event": _EVENT,
    **_CALL_SCHEMAS,
    "Item": {
        "description": "An event, or a call of the Segment family with its kind as `type`.",
        "oneOf": [
            schema("Event"),
            *(
                {"allOf": [schema(kind.capitalize()), object_schema({"type": {"type": "string", "const": kind}}, {})]}
                for kind in CALLS
            ),
        ],
    },
    "Items": {"type": "array", "items": schema("Item"), "description": "at most 2,500 by default"},
    "Batch": object_schema({"batch": schema("Items")}, {"sentAt": _SENT_AT, "writeKey": _WRITE_KEY}),
    "Accepted": object_schema(
        {"success": {"const": True}, "id": {"type": "string", "format": "uuid"}}, {}, closed=True
    ),
    "BatchAnswer": object_schema({"success": _FACT, "results": _RESULTS}, {}, closed=True),
    "Result": _RESULT,
    "Refusal": object_schema(
        {
            "success": {"const": False},
            "code": {"enum": list(ErrorCode)},
            "message": {"type": "string", "description": "what to do"},
            "request_id": {"type": "string"},
        },
        {"field": {"type": "string", "description": "the member or header at fault"}, "results": _RESULTS},
        closed=True,
    ),
    "Live": object_schema({"live": _FACT}, {}, closed=True),
    "Ready": object_schema(dict.fromkeys(("ready", "kafka", "spilling", "tokens", "serving"), _FACT), {}, closed=True),
    "Done": object_schema({"success": {"const": True}}, {}, closed=True),
    "Document": object_schema({"openapi": {"type": "string"}}, {}),
    **receipts.SCHEMAS,
}
_HEADERS: Final[dict[str, Schema]] = {
    "RequestId": {
        "description": "names this request; what the client or a proxy sent, where it is plain",
        "required": True,
        "schema": {"type": "string"},
    },
    "RetryAfter": {
        "description": "seconds to wait",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}
_PARAMETERS: Final[dict[str, Schema]] = {
    "RequestId": {"name": "X-Request-Id", "in": "header", "schema": {"type": "string"}},
    "Trace": {
        "name": "traceparent",
        "in": "header",
        "description": "W3C Trace Context; goes on in the record",
        "schema": {"type": "string"},
    },
    "Encoding": {
        "name": "Content-Encoding",
        "in": "header",
        "schema": {"type": "string", "enum": ["identity", "gzip", "deflate", "zstd"]},
    },
}
_SECURITY_SCHEMES: Final[dict[str, Schema]] = {
    "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "the token as user, no password"},
}
_POST_EVENT: Final = _post(
    "Take one event.", dict.fromkeys(("application/json", "text/plain"), schema("Event")), "Accepted", _OF_POST
)
_POST_BATCH: Final = _post(
    "Take several events, or calls of the Segment family: the good ones, where some are bad.",
    # As OpenAPI 3.2 has it for sequential media types: the lines are an array.
    {"application/json": schema("Batch"), "application/x-ndjson": schema("Items")},
    "BatchAnswer",
    (*_OF_POST, ErrorCode.TOO_MANY_EVENTS),
)
_OF_REVOKE: Final = (
    ErrorCode.MISSING_TOKEN,
    ErrorCode.UNKNOWN_TOKEN,
    ErrorCode.TOKEN_SCOPE,
    ErrorCode.RATE_LIMITED,
    ErrorCode.UNAVAILABLE,
)
_REVOKE: Final[Schema] = {
    "operationId": "revoke_token",
    "summary": "Make the token of this very request worthless, for whoever finds one that leaked.",
    "security": [{name: []} for name in _SECURITY_SCHEMES],
    "parameters": [ref("parameters", "RequestId")],
    "responses": {
        "200": answer("Within two seconds no ingress takes it.", schema("Done")),
        **refusals(_OF_REVOKE),
    },
}
