"""What a browser is told, through a real ingress: whose pages may send to which team, and what they may read."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
import requests

from deploy.topics import create_topics
from ingress.accounts.store import open_accounts
from schemas.errors import ErrorCode
from schemas.settings import KafkaSettings
from tests.accounts import ACTOR
from tests.ingress import Ingress, make_accounts, raw_records, running_ingress
from tests.services import wait_until

SHOP = "https://shop.example"
BLOG = "https://blog.example"
STRANGER = "https://stranger.example"
EXPOSED = "X-Request-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
GOOD = b'{"version":1,"type":"event","event":"x","userId":"u"}'
CALL = b'{"type":"track","userId":"u","event":"x","messageId":"m"}'
ROUTES = {"/v1/event": GOOD, "/v1/batch": b'{"batch":[%b]}' % GOOD, "/v1/b": b'{"batch":[%b]}' % CALL}
ROUTES |= {f"/v1/{path}": CALL for path in ("track", "t", "identify", "i", "page", "p", "screen", "s", "group", "g")}
ROUTES |= {f"/v1/{path}": b'{"userId":"u","previousId":"v","messageId":"m"}' for path in ("alias", "a")}
WITH_TOKEN_IN_BODY = [path for path in ROUTES if path != "/v1/event"]


class World(NamedTuple):
    """An ingress and three teams: of a shop, of a blog, and one without web pages."""

    ingress: Ingress
    kafka: KafkaSettings
    url: str
    shop: str
    blog: str
    server: str

    def ask(self, path: str, origin: str | None) -> requests.Response:
        """What a browser asks before it sends."""
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-auth-token"}
        return requests.options(self.ingress.base_url + path, headers=_present(asked, Origin=origin), timeout=30)

    def post(self, path: str, token: str | None, origin: str | None, body: bytes | None = None) -> requests.Response:
        """Post a good event, or this body, from a page of this origin."""
        plain = {"Content-Type": "text/plain;charset=UTF-8"}
        sent = _present(plain, **{"Origin": origin, "X-Auth-Token": token})
        return requests.post(
            self.ingress.base_url + path, ROUTES[path] if body is None else body, headers=sent, timeout=30
        )


def _present(headers: dict[str, str], **more: str | None) -> dict[str, str]:
    return headers | {name: value for name, value in more.items() if value is not None}


@pytest.fixture(scope="module")
async def world(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One ingress for all tests of this file."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, 2)
    folder = tmp_path_factory.mktemp("ingress")
    url, server = await make_accounts(folder)
    shop, blog = [await make_team(url, *team) for team in (("shop", SHOP), ("blog", BLOG))]
    with running_ingress(kafka, url, folder) as ingress:
        yield World(ingress, kafka, url, shop, blog, server)


async def make_team(url: str, team: str, *origins: str, events_per_second: int | None = None) -> str:
    """Make a team that allows these origins; returns a token of it."""
    async with open_accounts(url) as accounts:
        await accounts.create_team(team, datetime.now(UTC), ACTOR)
        await accounts.change_origins(team, origins, (), datetime.now(UTC), ACTOR)
        secret, _ = await accounts.create_token(
            team, "", datetime.now(UTC), ACTOR, write_only=True, events_per_second=events_per_second
        )
    return secret


def assert_readable(answer: requests.Response, origin: str) -> None:
    """A page of this origin can read the answer, and what the head says of limits; nothing is said of credentials."""
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Vary"] == "Origin"
    assert answer.headers["Access-Control-Expose-Headers"] == EXPOSED
    assert "Access-Control-Allow-Credentials" not in answer.headers


def assert_not_allowed(answer: requests.Response) -> None:
    """The origin is refused in the shape of every refusal, and no page may read it."""
    refusal = answer.json()
    assert (answer.status_code, refusal["code"], refusal["field"]) == (403, ErrorCode.ORIGIN_NOT_ALLOWED, "Origin")
    assert "events team origins" in refusal["message"]
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("origin", [SHOP, BLOG])
def test_preflight_when_any_team_allows_the_origin(world: World, path: str, origin: str) -> None:
    """Without a token, every route says what a page may send."""
    answer = world.ask(path, origin)

    assert (answer.status_code, answer.content) == (204, b"")
    assert_readable(answer, origin)
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"x-auth-token", "authorization", "content-type", "content-encoding", "traceparent"} <= set(allowed)
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("origin", [STRANGER, "null", "", "http://shop.example", SHOP + ":8443", SHOP + "/", "*"])
def test_preflight_when_no_team_allows_the_origin(world: World, path: str, origin: str) -> None:
    """Every route refuses it."""
    assert_not_allowed(world.ask(path, origin))


def test_options_when_it_is_no_preflight(world: World) -> None:
    """Who is no browser is told the methods of the route, and nothing of origins."""
    answer = world.ask("/v1/event", None)

    assert (answer.status_code, answer.headers["Allow"]) == (204, "POST, OPTIONS")
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("path", ROUTES)
def test_event_when_its_origin_is_allowed(world: World, path: str) -> None:
    """It is taken, and the page can read the answer."""
    answer = world.post(path, world.shop, SHOP)

    assert answer.status_code == 200
    assert_readable(answer, SHOP)
    assert "X-RateLimit-Remaining" in answer.headers


@pytest.mark.parametrize("origin", [STRANGER, BLOG, "null"])
async def test_event_when_its_origin_is_not_allowed(world: World, origin: str) -> None:
    """It is refused by every route, also where another team allows the origin, and nothing of it is in Kafka."""
    name = uuid.uuid4().hex.encode()

    for path, body in ROUTES.items():
        assert_not_allowed(world.post(path, world.shop, origin, body.replace(b'"u"', b'"%b"' % name)))

    records = await raw_records(world.kafka)
    assert records
    assert not [record for record in records if name in record.value]


@pytest.mark.parametrize("path", WITH_TOKEN_IN_BODY)
@pytest.mark.parametrize(("origin", "status"), [(SHOP, 200), (BLOG, 403), (STRANGER, 403)])
def test_beacon_when_sent(world: World, path: str, origin: str, status: int) -> None:
    """A beacon carries no header of ours: plain text with the token in the body is checked like any other request."""
    body = json.dumps(json.loads(ROUTES[path]) | {"writeKey": world.shop}).encode()

    answer = world.post(path, None, origin, body)

    assert answer.status_code == status
    assert ("Access-Control-Allow-Origin" in answer.headers) == (status == 200)


def test_event_when_its_team_allows_no_pages(world: World) -> None:
    """A team is closed to pages until its Owner opens it."""
    assert_not_allowed(world.post("/v1/event", world.server, SHOP))


@pytest.mark.parametrize("path", ROUTES)
def test_event_when_not_from_a_browser(world: World, path: str) -> None:
    """Without an origin nothing changes, whichever origins the team allows."""
    for token in (world.shop, world.server):
        answer = world.post(path, token, None)

        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("Access-Control-") or name == "Vary"]


@pytest.mark.parametrize(
    ("token", "body", "status"),
    [
        (None, b"{}", 401),
        ("evt_nobody", b"{}", 401),
        ("shop", b"{", 400),
        ("shop", b" " * (2 << 20), 413),
    ],
    ids=["no token", "unknown token", "no JSON", "too large"],
)
def test_refusal_when_a_page_reads_it(world: World, token: str | None, body: bytes, status: int) -> None:
    """A page of an allowed origin can read every refusal: of its team, and where the team cannot be known."""
    answer = world.post("/v1/batch", world.shop if token == "shop" else token, SHOP, body)

    assert answer.status_code == status
    assert_readable(answer, SHOP)


async def test_refusal_when_a_page_sends_too_much(world: World) -> None:
    """The page can read when it may send again."""
    token = await make_team(world.url, "busy", SHOP, events_per_second=1)
    many = b'{"batch":[%b]}' % b",".join([GOOD] * 500)
    wait_until(lambda: world.post("/v1/batch", token, SHOP, many).status_code != 401, "the token is known")

    answer = world.post("/v1/event", token, SHOP)

    assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (429, "0")
    assert int(answer.headers["Retry-After"]) > 0
    assert_readable(answer, SHOP)


@pytest.mark.parametrize("token", [None, "evt_nobody"])
def test_refusal_when_a_stranger_reads_it(world: World, token: str | None) -> None:
    """A page of an origin that no team allows cannot read any."""
    answer = world.post("/v1/event", token, STRANGER)

    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", [f"/v1/events/{uuid.UUID(int=0)}", "/v1/events/nonsense", "/v1/events?sender_id=x"])
def test_receipt_when_token_is_write_only(world: World, path: str) -> None:
    """Who has a public token learns of no event, not even whether there is one; another token is let through."""
    public, other = (
        requests.get(world.ingress.base_url + path, headers={"X-Auth-Token": token}, timeout=30)
        for token in (world.shop, world.server)
    )

    assert (public.status_code, public.json()["code"]) == (403, ErrorCode.TOKEN_SCOPE)
    assert other.status_code != 403, other.text


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_when_asked_by_a_page(world: World, path: str) -> None:
    """What is not for events says nothing of origins."""
    answer = requests.get(world.ingress.base_url + path, headers={"Origin": SHOP}, timeout=30)

    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_origins_when_changed(world: World) -> None:
    """A page may send once it is allowed, and no longer once it is removed; `*` allows all, and repeats nothing."""
    token = await make_team(world.url, "changing")

    def wait_for(origin: str, status: int) -> requests.Response:
        wait_until(lambda: world.post("/v1/event", token, origin).status_code == status, f"{origin} gives {status}", 10)
        return world.post("/v1/event", token, origin)

    async with open_accounts(world.url) as accounts:
        await accounts.change_origins("changing", [STRANGER], (), datetime.now(UTC), ACTOR)
        assert_readable(wait_for(STRANGER, 200), STRANGER)
        await accounts.change_origins("changing", ["*"], [STRANGER], datetime.now(UTC), ACTOR)
        assert_readable(wait_for("null", 200), "*")
        assert_readable(world.post("/v1/event", token, "\u00ff nonsense"), "*")
        assert_readable(world.ask("/v1/event", STRANGER), "*")
        assert_not_allowed(world.post("/v1/event", world.shop, STRANGER))
        await accounts.change_origins("changing", (), ["*"], datetime.now(UTC), ACTOR)
        assert_not_allowed(wait_for("null", 403))
