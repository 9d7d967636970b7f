"""Every address of the console, and for whom it is; `tests/integration/test_console_access.py` tries each of them."""

from ingress.console.access import Open, Route
from ingress.console.services import Services
from ingress.console.sign_in import SignIn


def routes(services: Services) -> list[Route]:
    """The whole table."""
    return [*_entrance(services)]


def _entrance(services: Services) -> list[Route]:
    sign_in = SignIn(services)
    return [
        Route("GET", "/static/{digest}/{name}", Open.PUBLIC, services.assets.serve),
        Route("GET", "/", Open.PUBLIC, sign_in.start),
        Route("GET", "/sign-in", Open.PUBLIC, sign_in.form),
        Route("POST", "/sign-in", Open.PUBLIC, sign_in.sign_in),
        Route("POST", "/sign-out", Open.SIGNED_IN, sign_in.sign_out),
        Route("GET", "/confirm", Open.SIGNED_IN, sign_in.confirm_form),
        Route("POST", "/confirm", Open.SIGNED_IN, sign_in.confirm),
    ]
