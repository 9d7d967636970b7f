"""Every address of the console, and for whom it is; `tests/integration/test_console_access.py` tries each of them."""

from ingress.accounts.permissions import Permission
from ingress.console.access import Open, Route
from ingress.console.access_log import AccessLogPages
from ingress.console.account import Account
from ingress.console.live.routes import live_routes
from ingress.console.members import Members
from ingress.console.one_time_links import OneTimeLinks
from ingress.console.operators import Operators
from ingress.console.schema_forms import SchemaForms
from ingress.console.schema_pages import SchemaPages
from ingress.console.services import Services
from ingress.console.sign_in import SignIn
from ingress.console.team_settings import TeamSettings
from ingress.console.tokens import Tokens


def routes(services: Services) -> list[Route]:
    """The whole table."""
    own, live = _own(services), _live(services)
    team = [*_team(services), *_tokens(services), *_schemas(services)]
    return [*_entrance(services), *own, *live, *team, *_operator(services)]


def _live(services: Services) -> list[Route]:
    return live_routes(services.live, services.sessions, services.pages, services.settings.console_api_url)


def _entrance(services: Services) -> list[Route]:
    sign_in, links = SignIn(services), OneTimeLinks(services)
    return [
        Route("GET", "/static/{digest}/{name}", Open.PUBLIC, services.assets.serve),
        Route("GET", "/", Open.PUBLIC, sign_in.start),
        Route("GET", "/sign-in", Open.PUBLIC, sign_in.form),
        Route("POST", "/sign-in", Open.PUBLIC, sign_in.sign_in),
        Route("GET", "/setup/{secret}", Open.PUBLIC, links.form),
        Route("POST", "/setup/{secret}", Open.PUBLIC, links.use),
        Route("GET", "/invite/{secret}", Open.PUBLIC, links.form),
        Route("POST", "/invite/{secret}", Open.PUBLIC, links.use),
        Route("GET", "/reset/{secret}", Open.PUBLIC, links.form),
        Route("POST", "/reset/{secret}", Open.PUBLIC, links.use),
    ]


def _own(services: Services) -> list[Route]:
    sign_in, account = SignIn(services), Account(services)
    return [
        Route("POST", "/sign-out", Open.SIGNED_IN, sign_in.sign_out),
        Route("GET", "/confirm", Open.SIGNED_IN, sign_in.confirm_form),
        Route("POST", "/confirm", Open.SIGNED_IN, sign_in.confirm),
        Route("GET", "/account", Open.SIGNED_IN, account.page),
        Route("POST", "/account/password", Open.SIGNED_IN, account.change_password),
        Route("POST", "/account/sessions/close", Open.SIGNED_IN, account.close_session),
        Route("POST", "/account/sessions/close-others", Open.SIGNED_IN, account.close_others),
    ]


def _team(services: Services) -> list[Route]:
    settings, members, log = TeamSettings(services), Members(services), AccessLogPages(services)
    team, member = "/teams/{team}", "/teams/{team}/members/{user}"
    change = Permission.CHANGE_MEMBERS
    return [
        Route("GET", team, Permission.VIEW_TEAM, settings.home),
        Route("GET", f"{team}/settings", Permission.VIEW_TEAM, settings.page),
        Route("GET", f"{team}/log", Permission.VIEW_ACCESS_LOG, log.of_team),
        Route("POST", f"{team}/request", Permission.REQUEST_ACCESS, settings.request_events_api),
        Route("POST", f"{team}/origins", Permission.CHANGE_ORIGINS, settings.change_origins),
        Route("GET", f"{team}/invite", change, members.invite_form, confirmed=True),
        Route("POST", f"{team}/invite", change, members.invite, confirmed=True),
        Route("POST", f"{team}/invites/{{invite}}/withdraw", change, members.withdraw),
        Route("GET", f"{member}/role", change, members.role_form, confirmed=True),
        Route("POST", f"{member}/role", change, members.change_role, confirmed=True),
        Route("GET", f"{member}/remove", change, members.remove_form),
        Route("POST", f"{member}/remove", change, members.remove),
    ]


def _tokens(services: Services) -> list[Route]:
    tokens, change = Tokens(services), Permission.CHANGE_TOKENS
    new, token = "/teams/{team}/tokens/new", "/teams/{team}/tokens/{token}"
    return [
        Route("GET", new, change, tokens.create_form, confirmed=True),
        Route("POST", new, change, tokens.create, confirmed=True),
        Route("GET", f"{token}/rotate", change, tokens.rotate_form, confirmed=True),
        Route("POST", f"{token}/rotate", change, tokens.rotate, confirmed=True),
        # Not after a password: a leaked token is to be worthless at once.
        Route("GET", f"{token}/revoke", change, tokens.revoke_form),
        Route("POST", f"{token}/revoke", change, tokens.revoke),
    ]


def _schemas(services: Services) -> list[Route]:
    pages, forms, change = SchemaPages(services), SchemaForms(services), Permission.CHANGE_SCHEMAS
    schemas = "/teams/{team}/schemas"
    # A subject has a dot in it, so that none is called `new`.
    new, subject = f"{schemas}/new", f"{schemas}/{{subject}}"
    delete = f"{subject}/{{version}}/delete"
    views = [
        Route("GET", schemas, Permission.VIEW_TEAM, pages.of_team),
        Route("GET", subject, Permission.VIEW_TEAM, pages.of_subject),
    ]
    if services.settings.schema_registry_host:
        return views
    return [
        Route("GET", new, change, forms.register_form),
        Route("POST", new, change, forms.register),
        Route("GET", delete, change, forms.delete_form),
        Route("POST", delete, change, forms.delete),
        *views,
    ]


def _operator(services: Services) -> list[Route]:
    operators, log, operate = Operators(services), AccessLogPages(services), Permission.OPERATE
    team, user = "/operator/teams/{slug}", "/operator/users/{user}"
    return [
        Route("GET", "/operator", operate, operators.page),
        Route("GET", "/operator/log", operate, log.of_all),
        Route("POST", "/operator/teams", operate, operators.create_team),
        Route("POST", f"{team}/enable", operate, operators.enable_team),
        Route("GET", f"{team}/disable", operate, operators.disable_form),
        Route("POST", f"{team}/disable", operate, operators.disable_team),
        Route("GET", f"{team}/invite", operate, operators.invite_form, confirmed=True),
        Route("POST", f"{team}/invite", operate, operators.invite_owner, confirmed=True),
        Route("GET", user, operate, operators.user_form, confirmed=True),
        Route("POST", f"{user}/disable", operate, operators.disable_user),
        Route("POST", f"{user}/enable", operate, operators.enable_user),
        Route("GET", f"{user}/reset", operate, operators.user_form, confirmed=True),
        Route("POST", f"{user}/reset", operate, operators.reset_password, confirmed=True),
    ]
