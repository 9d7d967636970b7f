"""Every address of the registry; `tests/integration/test_registry.py` tries each of them."""

from typing import NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler

from ingress.accounts.errors import NotFound
from ingress.registry.entrance import Entrance
from ingress.registry.handlers import Registry
from ingress.registry.refusals import elsewhere

_VERSION = "/subjects/{subject}/versions/{version}"


def application(registry: Registry, entrance: Entrance) -> web.Application:
    """The registry behind its entrance."""
    app = web.Application(middlewares=[entrance.answer_errors, entrance.find_holder])
    for method, path, handler in (
        ("GET", "/subjects", registry.subjects),
        ("POST", "/subjects/{subject}", registry.look_up),
        ("DELETE", "/subjects/{subject}", registry.delete),
        ("GET", "/subjects/{subject}/versions", registry.versions),
        ("POST", "/subjects/{subject}/versions", registry.register),
        ("GET", _VERSION, registry.version),
        ("DELETE", _VERSION, registry.delete),
        ("GET", f"{_VERSION}/schema", registry.version_schema),
        ("GET", "/schemas/types", registry.types),
        ("GET", "/schemas/ids/{id}", registry.by_id),
        ("GET", "/schemas/ids/{id}/schema", registry.schema_by_id),
        ("GET", "/schemas/ids/{id}/versions", registry.versions_by_id),
        ("GET", "/schemas/ids/{id}/subjects", registry.subjects_by_id),
        ("POST", f"/compatibility{_VERSION}", registry.check),
        ("POST", "/compatibility/subjects/{subject}/versions", registry.check),
        ("GET", "/config", registry.config),
        ("PUT", "/config", registry.change_global),
        ("GET", "/config/{subject}", registry.config),
        ("PUT", "/config/{subject}", registry.change_config),
        ("DELETE", "/config/{subject}", registry.change_config),
        ("GET", "/mode", registry.mode),
        ("PUT", "/mode", registry.change_global),
        ("GET", "/mode/{subject}", registry.mode),
        ("PUT", "/mode/{subject}", registry.change_mode),
        ("DELETE", "/mode/{subject}", registry.change_mode),
    ):
        app.router.add_route(method, path, handler)
    return app


def application_elsewhere(registry: str, entrance: Entrance) -> web.Application:
    """Says to whoever holds a token where schemas are registered instead."""

    @web.middleware
    async def say_where(request: web.Request, handler: Handler) -> NoReturn:  # noqa: ARG001 - aiohttp's names
        raise NotFound(elsewhere(registry))

    return web.Application(middlewares=[entrance.answer_errors, entrance.find_holder, say_where])
