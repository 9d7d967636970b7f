"""Limits of teams and tokens, through a real ingress: who sends too much is told so, and nobody else notices."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

import aiohttp
import pytest
import requests

from deploy.topics import create_topics
from ingress.accounts.store import open_accounts
from schemas.errors import ErrorCode
from schemas.settings import KafkaSettings
from tests.accounts import ACTOR
from tests.ingress import GOOD, Ingress, make_accounts, raw_records, running_ingress
from tests.services import eventually, wait_until

RATE = 5
BURST = 2 * RATE
# So much above the bucket that no test is long enough for it to fill again.
A_LOT = 40 * BURST
CALL = json.dumps({"type": "track", "userId": "u", "event": "x", "messageId": "m"}).encode()
CONNECTIONS = 50


class World(NamedTuple):
    """An ingress with a limit for every team."""

    ingress: Ingress
    kafka: KafkaSettings
    url: str

    async def team(self, **limits: int) -> str:
        """A token of a new team."""
        name = f"t{uuid.uuid4().hex[:12]}"
        async with open_accounts(self.url) as accounts:
            await accounts.create_team(name, datetime.now(UTC), ACTOR)
        return await self.token(name, **limits)

    async def token(self, team: str, events_per_second: int | None = None) -> str:
        """Another token of a team, which the ingress knows already."""
        async with open_accounts(self.url) as accounts:
            secret, _ = await accounts.create_token(
                team, "", datetime.now(UTC), ACTOR, events_per_second=events_per_second
            )
        # A body that is refused without anything being taken.
        wait_until(lambda: self.ingress.post(secret, content_type="text/html").status_code != 401, "it is known")
        return secret

    def post(self, path: str, token: str, body: bytes) -> requests.Response:
        """Post to a path."""
        return requests.post(self.ingress.base_url + path, body, headers=headers(token), timeout=30)

    def batch(self, token: str, events: int) -> requests.Response:
        """Post a batch of so many events."""
        return self.post("/v1/batch", token, b'{"batch":[%b]}' % b",".join([GOOD] * events))


@pytest.fixture(scope="module")
async def world(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One ingress for all tests of this file."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, 2)
    folder = tmp_path_factory.mktemp("ingress")
    url, _ = await make_accounts(folder)
    with running_ingress(kafka, url, folder, ingress_team_events_per_second=RATE) as ingress:
        yield World(ingress, kafka, url)


def assert_rate_limited(answer: requests.Response) -> None:
    """The answer says that too much was sent, and when to send it again."""
    refusal = answer.json()
    assert (answer.status_code, refusal["code"], refusal["success"]) == (429, ErrorCode.RATE_LIMITED, False)
    assert f"may send {RATE} events a second" in refusal["message"]
    assert refusal["request_id"] == answer.headers["X-Request-Id"]
    assert 1 <= int(answer.headers["Retry-After"]) <= int(answer.headers["X-RateLimit-Reset"])
    assert answer.headers["X-RateLimit-Limit"] == str(BURST)
    assert int(answer.headers["X-RateLimit-Remaining"]) < BURST


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/event", GOOD.replace(b'"x"', b'"limited"')),
        ("/v1/batch", b'{"batch":[%b]}' % GOOD.replace(b'"x"', b'"limited"')),
        ("/v1/b", b'{"batch":[%b]}' % CALL.replace(b'"x"', b'"limited"')),
        ("/v1/track", CALL.replace(b'"x"', b'"limited"')),
        ("/v1/t", CALL.replace(b'"x"', b'"limited"')),
    ],
)
async def test_events_when_over_the_limit(world: World, path: str, body: bytes) -> None:
    """Every route that takes events refuses with 429, says when to come back, and nothing of it is in Kafka."""
    token = await world.team()
    assert world.batch(token, A_LOT).status_code == 200

    answer = world.post(path, token, body)

    assert_rate_limited(answer)
    assert not [record for record in await raw_records(world.kafka) if b"limited" in record.value]


async def test_events_when_waited_for(world: World) -> None:
    """After the seconds that the refusal names, the same request is taken."""
    token = await world.team()
    assert world.batch(token, BURST).status_code == 200
    refused = world.batch(token, BURST // 2)
    assert refused.status_code == 429
    retry_at = time.monotonic() + int(refused.headers["Retry-After"])

    wait_until(lambda: time.monotonic() >= retry_at, "the time to send again")

    assert world.batch(token, BURST // 2).status_code == 200


async def test_batch_when_it_does_not_fit(world: World) -> None:
    """It is refused as a whole, and its events are counted as refused."""
    token = await world.team()
    assert world.batch(token, A_LOT).status_code == 200
    name = 'eventsapi_events_refused_total{code="rate_limited"}'
    before = world.ingress.metric(name)

    answer = world.batch(token, 7)

    assert_rate_limited(answer)
    assert "results" not in answer.json()
    assert world.ingress.metric(name) == before + 7


async def test_batch_when_larger_than_the_burst(world: World) -> None:
    """It is taken when nothing else was sent before, and what comes next waits until it is paid back."""
    token = await world.team()

    first, second = world.batch(token, A_LOT), world.batch(token, 1)

    assert first.status_code == 200
    assert first.headers["X-RateLimit-Remaining"] == "0"
    assert int(second.headers["Retry-After"]) > (A_LOT - BURST) / RATE / 2


async def test_events_when_within_the_limit(world: World) -> None:
    """Each answer tells what is left; a refusal for another fault, too."""
    token = await world.team()

    taken, refused = world.post("/v1/track", token, CALL), world.post("/v1/track", token, b"{")

    assert taken.status_code == 200
    assert taken.headers["X-RateLimit-Limit"] == str(BURST)
    assert taken.headers["X-RateLimit-Remaining"] == str(BURST - 1)
    assert taken.headers["X-RateLimit-Reset"] == "1"
    assert refused.status_code == 400
    assert "X-RateLimit-Remaining" in refused.headers


async def test_tokens_when_of_one_team(world: World) -> None:
    """They share the team's limit, and a token that is made afterwards, too: loading it forgives nothing."""
    team = f"t{uuid.uuid4().hex[:12]}"
    async with open_accounts(world.url) as accounts:
        await accounts.create_team(team, datetime.now(UTC), ACTOR)
    first, second = await world.token(team), await world.token(team)
    assert world.batch(first, A_LOT).status_code == 200

    third = await world.token(team)

    for token in (first, second, third):
        assert_rate_limited(world.batch(token, 1))


async def test_token_when_it_has_a_limit_of_its_own(world: World) -> None:
    """It is refused beyond that, while the team's other tokens go on."""
    team = f"t{uuid.uuid4().hex[:12]}"
    async with open_accounts(world.url) as accounts:
        await accounts.create_team(team, datetime.now(UTC), ACTOR)
    limited, other = await world.token(team, events_per_second=1), await world.token(team)
    assert world.batch(limited, 2).status_code == 200

    refused = world.batch(limited, 2)

    assert refused.status_code == 429
    assert refused.headers["X-RateLimit-Limit"] == "2"
    assert "The token tok_" in refused.json()["message"]
    assert world.batch(other, 1).status_code == 200


async def test_team_when_another_floods(world: World) -> None:
    """One team sends at ten times its limit over many connections: it gets its share, and the other all of its own."""
    flooding, calm = await world.team(), await world.team()
    attempts: Counter[int] = Counter()
    stop = asyncio.Event()
    started = time.monotonic()

    def permitted() -> float:
        return RATE * (time.monotonic() - started) + BURST

    async def flood() -> None:
        async with aiohttp.ClientSession() as session:
            while not stop.is_set():
                attempts[await status(session, world.ingress.url, flooding)] += 1

    async def flooded() -> bool:
        return attempts.total() > 10 * permitted()

    async with aiohttp.ClientSession() as session:
        floods = [asyncio.create_task(flood()) for _ in range(CONNECTIONS)]
        await eventually(flooded, "ten times the limit was tried")
        answers = [await status(session, world.ingress.url, calm) for _ in range(BURST)]
        stop.set()
        await asyncio.gather(*floods)

    assert answers == [200] * BURST
    assert set(attempts) == {200, 429}
    assert BURST <= attempts[200] <= permitted()


def headers(token: str) -> dict[str, str]:
    """Of an event's request."""
    return {"X-Auth-Token": token, "Content-Type": "application/json"}


async def status(session: aiohttp.ClientSession, url: str, token: str) -> int:
    """What an event is answered with."""
    async with session.post(url, data=GOOD, headers=headers(token)) as answer:
        await answer.read()
        return answer.status
