"""The wiring of the console: what it is made of, and in which order it starts and stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ingress.accounts.access_log import AccessLog
from ingress.accounts.database import Database, migrate
from ingress.accounts.passwords import Passwords
from ingress.accounts.people import People
from ingress.accounts.sessions import Sessions
from ingress.accounts.store import Accounts
from ingress.console.access import Route
from ingress.console.assets import Assets
from ingress.console.forms import MAX_BYTES
from ingress.console.guard import Guard, guarded
from ingress.console.live.routes import Live
from ingress.console.nonces import Nonces
from ingress.console.pages import Pages
from ingress.console.routes import routes
from ingress.console.security import is_reachable_safely
from ingress.console.services import Services
from ingress.console.settings import ConsoleSettings
from ingress.console.throttle import Throttle
from ingress.lifecycle import first, running, stop_signal
from ingress.registry import routes as registry_routes
from ingress.registry.entrance import PREFIX, Entrance
from ingress.registry.external import ExternalRegistry
from ingress.registry.handlers import Registry
from ingress.registry.mirror import Mirror
from ingress.registry.publisher import Publisher
from ingress.registry.store import SchemaStore
from schemas.connecting import limit_connecting
from schemas.errors import Unavailable
from schemas.health import health_listener
from schemas.logs import get_logger
from schemas.settings import cannot_listen

STOP_SECONDS = 2

_log = get_logger(__name__)


async def serve(settings: ConsoleSettings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        SettingsError: where it cannot listen, or the schemas that it holds are of another registry.
    """
    stop = stop_signal()
    limit_connecting(settings.kafka_connect_seconds)
    if not is_reachable_safely(settings.console_url):
        todo = "browsers keep no cookie of such an address, so nobody can sign in: put TLS in front"
        _log.warning("console_url_without_tls", url=settings.console_url, todo=todo)
    url = settings.accounts_url.get_secret_value()
    external = ExternalRegistry(settings) if settings.schema_registry_url else None
    async with Database(url) as database:
        try:
            await migrate(url)
            await SchemaStore(database).claim(external.host if external else None)
        except Unavailable as error:
            _log.warning("accounts_unavailable", reason=str(error))
        await _serve(settings, database, external, stop)
    _log.info("stopped")


async def _serve(
    settings: ConsoleSettings, database: Database, external: ExternalRegistry | None, stop: asyncio.Event
) -> None:
    async with health_listener(
        settings.metrics_host, settings.console_metrics_port, "CONSOLE_METRICS_PORT", lambda: not stop.is_set()
    ):
        services = make_services(settings, database)
        store, publisher = services.schemas, services.publisher
        entrance, work = Entrance(services.accounts), [publisher.run()]
        if external is None:
            registry = registry_routes.application(Registry(store, publisher), entrance)
        else:
            registry = registry_routes.application_elsewhere(external.host, entrance)
            rest_seconds = settings.schema_registry_poll_seconds
            work.append(Mirror(external, store, services.accounts, publisher, rest_seconds).run())
        app = application(services, routes(services), registry)
        async with services.live, running(*work) as background, _listening(app, settings):
            _log.info("listening", host=settings.console_host, port=settings.console_port)
            await first(stop, background)
            _log.info("stopping")


def make_services(settings: ConsoleSettings, database: Database) -> Services:
    """Everything that the handlers need."""
    assets, schemas = Assets(), SchemaStore(database)
    return Services(
        settings=settings,
        accounts=Accounts(database),
        people=People(database),
        sessions=Sessions(database),
        log=AccessLog(database),
        passwords=Passwords(),
        throttle=Throttle(),
        nonces=Nonces(),
        assets=assets,
        pages=Pages(assets, settings.schema_registry_host),
        live=Live(settings),
        schemas=schemas,
        publisher=Publisher(settings, schemas),
    )


def application(services: Services, table: list[Route], registry: web.Application) -> web.Application:
    """The rows of the table behind the guard, the registry behind its own entrance, and nothing beside them."""
    guard = Guard(services.settings, services.sessions, services.pages)
    app = web.Application(
        middlewares=[_not_for(registry, each) for each in guard.middlewares()], client_max_size=MAX_BYTES
    )
    app.add_subapp(PREFIX, registry)
    app.on_response_prepare.append(guard.add_headers)
    app.on_shutdown.append(services.live.end_streams)
    for route in table:
        app.router.add_route(route.method, route.path, guarded(route))
    return app


def _not_for(other: web.Application, middleware: Middleware) -> Middleware:
    """The middleware for all that is not the other application's."""

    @web.middleware
    async def pass_by(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await (handler(request) if other in request.match_info.apps else middleware(request, handler))

    return pass_by


@asynccontextmanager
async def _listening(app: web.Application, settings: ConsoleSettings) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.console_host, settings.console_port).start()
        except OSError as error:
            raise cannot_listen(settings.console_host, settings.console_port, "CONSOLE_PORT", error) from error
        yield
    finally:
        await runner.cleanup()
