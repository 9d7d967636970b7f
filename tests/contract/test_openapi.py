"""The OpenAPI document says what the listener does."""

import json
from typing import Any, cast

from ingress import openapi
from ingress.auth import TokenSnapshot
from ingress.handlers import Events
from ingress.health import Health
from ingress.producer import Producer
from ingress.receipts.handler import Receipts
from ingress.revocation import Revocation
from ingress.routes import routes
from ingress.settings import IngressSettings
from schemas.errors import ErrorCode

DOCUMENT = json.loads(openapi.document())
PATHS = cast("dict[str, dict[str, dict[str, Any]]]", DOCUMENT["paths"])


def test_paths_when_compared_with_the_routes() -> None:
    """Every path and method of the listener is described, and nothing else is."""
    # Nothing of these is called: only names are compared.
    health = Health.__new__(Health)
    events = Events(IngressSettings(), TokenSnapshot.__new__(TokenSnapshot), Producer.__new__(Producer), None)
    receipts, revocation = Receipts.__new__(Receipts), Revocation.__new__(Revocation)
    all_routes = routes(events, health.live, receipts, revocation, health)
    served = {(route.path, method) for route in all_routes for method in route.methods}

    assert {(path, method.upper()) for path, methods in PATHS.items() for method in methods} == served


def test_codes_when_compared_with_the_closed_list() -> None:
    """Every code stands under its own status at some operation, or is one that no operation answers."""
    described = {
        (code, int(status))
        for methods in PATHS.values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        for schema in answer.get("content", {}).get("application/json", {}).get("schema", {}).get("allOf", [])
        for code in schema.get("properties", {}).get("code", {}).get("enum", [])
    }

    assert described == {(code.value, code.status) for code in set(ErrorCode) - openapi.ELSEWHERE}


def test_references_when_followed() -> None:
    """Every reference leads to something, and every part is referred to."""
    text = openapi.document().decode()
    parts = {f"#/components/{kind}/{name}" for kind, named in DOCUMENT["components"].items() for name in named}
    referred = {part for part in parts if f'"$ref":"{part}"' in text}

    assert text.count('"$ref"') == sum(text.count(f'"$ref":"{part}"') for part in parts)
    assert parts - referred == {f"#/components/securitySchemes/{name}" for name in ("token", "bearer", "basic")}
