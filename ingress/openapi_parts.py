"""The pieces that the OpenAPI document is made of."""

from schemas.errors import ErrorCode

Schema = dict[str, object]
"""A JSON Schema, or another part of the document."""


def ref(kind: str, name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def schema(name: str) -> Schema:
    """A reference to a schema."""
    return ref("schemas", name)


def answer(description: str, body: Schema, *, retry: bool = False) -> Schema:
    """An answer with a body of JSON."""
    headers = {"X-Request-Id": ref("headers", "RequestId")}
    if retry:
        headers["Retry-After"] = ref("headers", "RetryAfter")
    return {"description": description, "headers": headers, "content": {"application/json": {"schema": body}}}


def refusals(codes: tuple[ErrorCode, ...]) -> Schema:
    """The answers with these codes, by status."""
    by_status: dict[int, list[ErrorCode]] = {}
    for code in codes:
        by_status.setdefault(code.status, []).append(code)
    return {str(status): _refusal(of_status) for status, of_status in sorted(by_status.items())}


def _refusal(codes: list[ErrorCode]) -> Schema:
    description = "\n".join(f"- `{code}`: {code.meaning}" for code in codes)
    body: Schema = {"allOf": [schema("Refusal"), {"properties": {"code": {"enum": codes}}}]}
    return answer(description, body, retry=bool({ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED} & set(codes)))


def object_schema(required: dict[str, Schema], optional: dict[str, Schema], *, closed: bool = False) -> Schema:
    """An object; a closed one has no other members."""
    found: Schema = {"type": "object", "required": list(required), "properties": required | optional}
    return found | {"additionalProperties": False} if closed else found
