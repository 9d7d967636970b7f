"""What the console's handlers share."""

from dataclasses import dataclass

from ingress.accounts.access_log import AccessLog
from ingress.accounts.passwords import Passwords
from ingress.accounts.people import People
from ingress.accounts.sessions import Sessions
from ingress.accounts.store import Accounts
from ingress.console.assets import Assets
from ingress.console.nonces import Nonces
from ingress.console.pages import Pages
from ingress.console.settings import ConsoleSettings
from ingress.console.throttle import Throttle


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
