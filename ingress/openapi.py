"""What the public listener takes and answers, as an OpenAPI 3.1 document that it serves itself.

Invariant: paths and methods are those of `ingress.app` (a contract test), the codes those of `schemas.errors`.
"""

from typing import Final

import msgspec

from ingress.batch import Status
from schemas.errors import ErrorCode
from schemas.segment import CALLS

Schema = dict[str, object]
"""A JSON Schema, or another part of the document."""

# What a listener answers on any path, and what only stands behind it: of no operation.
ELSEWHERE: Final = frozenset(
    {
        ErrorCode.NOT_FOUND,
        ErrorCode.METHOD_NOT_ALLOWED,
        ErrorCode.MISSING_HEADER,
        ErrorCode.INVALID_HEADER,
        ErrorCode.UNKNOWN_FORMAT,
        ErrorCode.NOT_INSERTABLE,
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
    ErrorCode.SLOW_BODY,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.UNSUPPORTED_ENCODING,
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
    calls = {kind: _post_call(kind) for kind in CALLS}
    return {
        "/v1/event": {"post": _POST_EVENT},
        "/v1/batch": {"post": _POST_BATCH | {"operationId": "post_batch"}},
        "/v1/b": {"post": _POST_BATCH | {"operationId": "post_b"}},
        **{f"/v1/{kind}": {"post": call} for kind, call in calls.items()},
        **{f"/v1/{kind[0]}": {"post": call | {"operationId": f"post_{kind[0]}"}} for kind, call in calls.items()},
        "/livez": _health("live", "Whether the process lives.", {"200": "Live"}),
        "/readyz": _health("ready", "Whether the process should get requests.", {"200": "Ready", "503": "Ready"}),
        "/openapi.json": _health("openapi", "This document.", {"200": "Document"}),
    }


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}


def _schema(name: str) -> Schema:
    return _ref("schemas", name)


def _answer(description: str, schema: Schema, *, retry: bool = False) -> Schema:
    headers = {"X-Request-Id": _ref("headers", "RequestId")}
    if retry:
        headers["Retry-After"] = _ref("headers", "RetryAfter")
    return {"description": description, "headers": headers, "content": {"application/json": {"schema": schema}}}


def _refusals(codes: tuple[ErrorCode, ...]) -> Schema:
    """The answers with these codes, by status."""
    by_status: dict[int, list[ErrorCode]] = {}
    for code in codes:
        by_status.setdefault(code.status, []).append(code)
    return {str(status): _refusal(of_status) for status, of_status in sorted(by_status.items())}


def _refusal(codes: list[ErrorCode]) -> Schema:
    description = "\n".join(f"- `{code}`: {code.meaning}" for code in codes)
    schema: Schema = {"allOf": [_schema("Refusal"), {"properties": {"code": {"enum": codes}}}]}
    return _answer(description, schema, retry=ErrorCode.UNAVAILABLE in codes)


def _post(summary: str, content: dict[str, Schema], success: str, codes: tuple[ErrorCode, ...]) -> Schema:
    return {
        "summary": summary,
        "security": [{name: []} for name in _SECURITY_SCHEMES],
        "parameters": [_ref("parameters", name) for name in _PARAMETERS],
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": schema} for media_type, schema in content.items()},
        },
        "responses": {"200": _answer("Kafka has it, on all replicas.", _schema(success)), **_refusals(codes)},
    }


def _post_call(kind: str) -> Schema:
    content = {"application/json": _schema(kind.capitalize())}
    summary = f"Take one `{kind}` of the Segment family, whatever its Content-Type."
    return _post(summary, content, "Accepted", _OF_POST) | {"operationId": f"post_{kind}"}


def _health(name: str, summary: str, answers: dict[str, str]) -> Schema:
    bodies = {status: _answer(summary, _schema(schema)) for status, schema in answers.items()}
    empty = {status: {key: answer[key] for key in answer if key != "content"} for status, answer in bodies.items()}
    return {
        "get": {"operationId": f"get_{name}", "summary": summary, "security": [], "responses": bodies},
        "head": {"operationId": f"head_{name}", "summary": summary, "security": [], "responses": empty},
    }


def _object(required: dict[str, Schema], optional: dict[str, Schema], *, closed: bool = False) -> Schema:
    found: Schema = {"type": "object", "required": list(required), "properties": required | optional}
    return found | {"additionalProperties": False} if closed else found


_CALL: Final[dict[str, Schema]] = {
    "messageId": _SENDER_ID,
    "userId": _ID,
    "anonymousId": _ID,
    "timestamp": _TIME,
    "sentAt": _SENT_AT,
    "context": _OBJECT,
    "writeKey": _WRITE_KEY,
}
_PAGE: Final = _object({}, _CALL | {"name": _TEXT, "category": _TEXT, "properties": _OBJECT})
_CALL_SCHEMAS: Final[dict[str, Schema]] = {
    "Track": _object({"event": _NAME}, _CALL | {"properties": _OBJECT}),
    "Identify": _object({}, _CALL | {"traits": _OBJECT}),
    "Page": _PAGE,
    "Screen": _PAGE,
    "Group": _object({}, _CALL | {"groupId": _ID, "traits": _OBJECT}),
    "Alias": _object({}, _CALL | {"previousId": _ID, "traits": _OBJECT}),
}
_EVENT: Final = _object(
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
_RESULT: Final = _object(
    {"index": {"type": "integer", "minimum": 0}, "status": {"enum": list(Status)}},
    {
        "id": {"type": "string", "format": "uuid"},
        "code": {"enum": list(ErrorCode)},
        "message": {"type": "string"},
        "field": {"type": "string"},
    },
    closed=True,
)
_RESULTS: Final[Schema] = {"type": "array", "items": _schema("Result")}
_FACT: Final[Schema] = {"type": "boolean"}
_SCHEMAS: Final[dict[str, Schema]] = {
    "Event": _EVENT,
    **_CALL_SCHEMAS,
    "Item": {
        "description": "An event, or a call of the Segment family with its kind as `type`.",
        "oneOf": [
            _schema("Event"),
            *(
                {"allOf": [_schema(kind.capitalize()), _object({"type": {"type": "string", "const": kind}}, {})]}
                for kind in CALLS
            ),
        ],
    },
    "Items": {"type": "array", "items": _schema("Item"), "description": "at most 2,500 by default"},
    "Batch": _object({"batch": _schema("Items")}, {"sentAt": _SENT_AT, "writeKey": _WRITE_KEY}),
    "Accepted": _object({"success": {"const": True}, "id": {"type": "string", "format": "uuid"}}, {}, closed=True),
    "BatchAnswer": _object({"success": _FACT, "results": _RESULTS}, {}, closed=True),
    "Result": _RESULT,
    "Refusal": _object(
        {
            "success": {"const": False},
            "code": {"enum": list(ErrorCode)},
            "message": {"type": "string", "description": "what to do"},
            "request_id": {"type": "string"},
        },
        {"field": {"type": "string", "description": "the member or header at fault"}, "results": _RESULTS},
        closed=True,
    ),
    "Live": _object({"live": _FACT}, {}, closed=True),
    "Ready": _object({"ready": _FACT, "kafka": _FACT, "tokens": _FACT, "serving": _FACT}, {}, closed=True),
    "Document": _object({"openapi": {"type": "string"}}, {}),
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
    "Take one event.", dict.fromkeys(("application/json", "text/plain"), _schema("Event")), "Accepted", _OF_POST
) | {"operationId": "post_event"}
_POST_BATCH: Final = _post(
    "Take several events, or calls of the Segment family: the good ones, where some are bad.",
    # As OpenAPI 3.2 has it for sequential media types: the lines are an array.
    {"application/json": _schema("Batch"), "application/x-ndjson": _schema("Items")},
    "BatchAnswer",
    (*_OF_POST, ErrorCode.TOO_MANY_EVENTS),
)
