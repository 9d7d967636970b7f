"""What the console's handlers share."""

from dataclasses import dataclass

from aiohttp import web

from ingress.accounts.access_log import AccessLog
from ingress.accounts.passwords import Passwords
from ingress.accounts.people import People
from ingress.accounts.sessions import Sessions
from ingress.accounts.store import Accounts
from ingress.console.assets import Assets
from ingress.console.forms import Form
from ingress.console.live.routes import Live
from ingress.console.nonces import Nonces, Use
from ingress.console.pages import Pages
from ingress.console.settings import ConsoleSettings
from ingress.console.throttle import Throttle
from ingress.console.visits import now, user_of
from ingress.registry.publisher import Publisher
from ingress.registry.store import SchemaStore


@dataclass(frozen=True, slots=True)
class Services:
    """The stores, and what the process keeps in memory."""

    settings: ConsoleSettings
    accounts: Accounts
    people: People
    sessions: Sessions
    log: AccessLog
    passwords: Passwords
    throttle: Throttle
    nonces: Nonces
    assets: Assets
    pages: Pages
    live: Live
    schemas: SchemaStore
    publisher: Publisher

    def nonce(self, request: web.Request) -> str:
        """A one-time word for a form that makes something."""
        return self.nonces.make(user_of(request).session.digest, now().timestamp())

    def use(self, request: web.Request, form: Form) -> Use:
        """Use up the word in a form that was posted."""
        return self.nonces.use(form.text("nonce"), user_of(request).session.digest, now().timestamp())
