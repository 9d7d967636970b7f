"""Every page of the console with something on it: what is checked for everybody's use, and shown in the docs."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from playwright.async_api import Page

from ingress.accounts.actors import Actor
from ingress.accounts.models import Role, User
from schemas.registered import Subject
from tests.console import Console, Visitor, now

OPS = Actor("command line (ops)")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Mobile/15E148 Safari/604.1"


def _optional(name: str, of: object = "string", **more: str) -> dict[str, object]:
    return {"name": name, **more, "type": ["null", of], "default": None}


ORDER_ID, REVENUE, EVENT = _optional("order_id"), _optional("revenue", "double"), _optional("event")
TOTAL = _optional("orderTotal", "double", property="Order Total")
ADDRESS = _optional("address", {"type": "record", "name": "Address", "fields": [_optional("city")]})
FIRST = [ORDER_ID, REVENUE, EVENT, TOTAL]
GOOD = [*FIRST, ADDRESS, _optional("coupon")]
BAD = [_optional("revenue"), TOTAL, {"name": "coupon", "type": "string"}]

Steps = Callable[[Page], Awaitable[None]]


@dataclass(frozen=True)
class View:
    """A page as it is shown.

    Attributes:
        steps: what to do on it before it is looked at.
    """

    path: str
    visitor: Visitor
    steps: Steps | None = None

    async def show(self, page: Page) -> None:
        """Go there."""
        await page.goto(self.path)
        if self.steps:
            await self.steps(page)


@dataclass
class Gallery:
    """Views by name."""

    views: dict[str, View] = field(default_factory=dict)

    def __getitem__(self, name: str) -> View:
        return self.views[name]


NAMES = [
    "setup",
    "sign-in",
    "sign-in-wrong",
    "join",
    "join-signed-in",
    "new-password",
    "settings",
    "settings-member",
    "settings-empty",
    "token-dialog",
    "token-create",
    "token-made",
    "token-rotate",
    "token-revoke",
    "invite",
    "invite-made",
    "role",
    "remove",
    "schemas",
    "schemas-empty",
    "schema",
    "schema-register",
    "schema-checked",
    "schema-refused",
    "schema-delete",
    "access-log",
    "account",
    "confirm",
    "operator",
    "operator-log",
    "team-disable",
    "user",
    "not-found",
    "forbidden",
]


async def hang(console: Console, team: str = "shop") -> Gallery:
    """Fill a console with a team, its people and tokens, and make a view of each page."""
    stores, empty = console.stores, f"{team}_new"
    await stores.accounts.create_team(team, now() - timedelta(days=40), OPS)
    await stores.accounts.create_team(empty, now() - timedelta(hours=3), OPS, enabled=False)
    # As a link looks before there is anybody.
    setup = await _setup_link(console)
    roles = {team: Role.OWNER, empty: Role.OWNER}
    ann = await console.user(roles, operator=True, email=f"ann@{team}.example")
    bob = await console.user({team: Role.MEMBER}, email=f"bob@{team}.example")
    await console.user({team: Role.OWNER}, email=f"carla.from.accounting@{team}.example")
    owner, member = await console.signed_in(ann, user_agent=FIREFOX), await console.signed_in(bob)
    tokens = await _fill(console, team, ann)
    await _register(console, team, ann)
    await stores.accounts.request_events_api(empty, now(), Actor(ann.email, ann.id))
    long_ago = await console.signed_in(ann, now() - timedelta(hours=1), IPHONE)
    invite = await stores.people.invite(team, Role.MEMBER, None, now(), Actor(ann.email, ann.id))
    for_bob = await stores.people.invite(empty, Role.MEMBER, bob.email, now(), Actor(ann.email, ann.id))
    reset = await stores.people.reset(bob.email, now(), Actor(ann.email, ann.id))
    anybody, here = console.visitor(), f"/teams/{team}"
    return Gallery(
        {
            "setup": View(f"/setup/{setup}", anybody),
            "sign-in": View("/sign-in", anybody),
            "sign-in-wrong": View("/sign-in", console.visitor(), _guess),
            "join": View(f"/invite/{invite}", anybody),
            "join-signed-in": View(f"/invite/{for_bob}", member),
            "new-password": View(f"/reset/{reset}", anybody),
            "settings": View(f"{here}/settings", owner),
            "settings-member": View(f"{here}/settings", member),
            "settings-empty": View(f"/teams/{empty}/settings", owner),
            "token-dialog": View(f"{here}/settings", owner, _open_dialog),
            "token-create": View(f"{here}/tokens/new", owner, _open_limits),
            "token-made": View(f"{here}/tokens/new", owner, _make_token),
            "token-rotate": View(f"{here}/tokens/{tokens[0]}/rotate", owner),
            "token-revoke": View(f"{here}/tokens/{tokens[0]}/revoke", owner),
            "invite": View(f"{here}/invite", owner),
            "invite-made": View(f"{here}/invite", owner, _invite),
            "role": View(f"{here}/members/{bob.id}/role", owner),
            "remove": View(f"{here}/members/{bob.id}/remove", owner),
            "schemas": View(f"{here}/schemas", member),
            "schemas-empty": View(f"/teams/{empty}/schemas", owner),
            "schema": View(f"{here}/schemas/{team}.Order%20Completed", owner),
            "schema-register": View(f"{here}/schemas/new", owner),
            "schema-checked": View(f"{here}/schemas/new", owner, _check(GOOD)),
            "schema-refused": View(f"{here}/schemas/new", owner, _check(BAD)),
            "schema-delete": View(f"{here}/schemas/{team}.Order%20Completed/2/delete", owner),
            "access-log": View(f"{here}/log", owner),
            "account": View("/account", owner),
            "confirm": View(f"{here}/tokens/new", long_ago),
            "operator": View("/operator", owner),
            "operator-log": View("/operator/log", owner),
            "team-disable": View(f"/operator/teams/{team}/disable", owner),
            "user": View(f"/operator/users/{bob.id}", owner),
            "not-found": View("/teams/nowhere/settings", owner),
            "forbidden": View("/operator", member),
        }
    )


async def _setup_link(console: Console) -> str:
    secret = await console.stores.people.set_up(now(), OPS, team=None)
    return secret or "used"


async def _fill(console: Console, team: str, owner: User) -> list[str]:
    """Tokens of each kind, and a web origin; the tokens' ids."""
    accounts, actor, day = console.stores.accounts, Actor(owner.email, owner.id, "192.0.2.7"), timedelta(days=1)
    _, backend = await accounts.create_token(team, "Shop backend", now() - 38 * day, actor)
    _, web = await accounts.create_token(
        team, "Web shop", now() - 12 * day, actor, write_only=True, event_names=["Product Viewed", "Order Completed"]
    )
    _, partner = await accounts.create_token(
        team, "Partner import", now() - day, actor, expires_at=now() + 29 * day, events_per_second=50
    )
    _, gone = await accounts.create_token(team, "Old backend", now() - 39 * day, actor)
    await accounts.revoke_token(gone.id, now() - 2 * day, actor)
    await accounts.touch_tokens({backend.id: now(), web.id: now() - day})
    await accounts.change_origins(team, ["https://shop.example"], [], now(), actor)
    return [backend.id, web.id, partner.id]


async def _register(console: Console, team: str, owner: User) -> None:
    """Schemas of some events: with two versions, of a second major, and a deleted one."""
    schemas, actor, day = console.stores.schemas, Actor(owner.email, owner.id, "192.0.2.7"), timedelta(days=1)
    for days, event, major, fields in (
        (30, "Order Completed", 1, FIRST),
        (9, "Order Completed", 1, [*FIRST, ADDRESS]),
        (20, "Signed Up", 1, [REVENUE]),
        (2, "Signed Up", 2, [_optional("revenue")]),
        (25, "Cart Viewed", 1, [ORDER_ID]),
    ):
        await schemas.register(Subject(team, event, major), _schema(fields), now() - days * day, actor)
    await schemas.delete(Subject(team, "Cart Viewed"), None, now() - day, actor, permanent=False)


def _schema(fields: Sequence[object]) -> str:
    return json.dumps({"type": "record", "name": "Order", "fields": fields}, indent=2)


def _check(fields: Sequence[object]) -> Steps:
    async def check(page: Page) -> None:
        await page.get_by_label("Event").fill("Order Completed")
        await page.get_by_label("Schema").fill(_schema(fields))
        await page.get_by_role("button", name="Check").click()
        await page.locator("[role=status], [role=alert]").wait_for()

    return check


async def _guess(page: Page) -> None:
    await page.get_by_label("Email address").fill("ann@shop.example")
    await page.get_by_label("Password").fill("a guess")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("alert").wait_for()


async def _open_dialog(page: Page) -> None:
    await page.get_by_role("link", name="Create token").click()
    await page.get_by_role("dialog").wait_for()


async def _open_limits(page: Page) -> None:
    await page.get_by_text("Limits").click()


async def _make_token(page: Page) -> None:
    await page.get_by_label("Name").fill("Shop backend")
    await page.get_by_role("button", name="Create token").click()
    await page.get_by_text("Copy it now").wait_for()


async def _invite(page: Page) -> None:
    await page.get_by_label("Email address").fill("dora@shop.example")
    await page.get_by_role("button", name="Make the link").click()
    await page.get_by_text("Pass this link on").wait_for()
