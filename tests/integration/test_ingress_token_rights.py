"""What a token may do, when it was last used, and how whoever holds it makes it worthless."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from ingress.accounts.access_log import AccessLog
from ingress.accounts.database import Database
from ingress.accounts.models import AccessEntry, Token
from ingress.accounts.store import open_accounts
from schemas.settings import KafkaSettings
from tests.accounts import ACTOR
from tests.ingress import TEAM, Ingress, make_accounts, raw_records, running_ingress
from tests.services import eventually, wait_until

EFFECT_SECONDS = 2
EVENT = {"version": 1, "type": "event"}


class World(NamedTuple):
    """An ingress and its accounts."""

    ingress: Ingress
    kafka: KafkaSettings
    accounts_url: str
    token: str

    async def make(self, **options: object) -> tuple[str, str]:
        """A token that the ingress knows, and its id; the options are those of `create_token`."""
        async with open_accounts(self.accounts_url) as accounts:
            secret, token = await accounts.create_token(TEAM, "", datetime.now(UTC), ACTOR, **options)  # type: ignore[arg-type]  # as the docstring says
        wait_until(lambda: self.ingress.post(secret, b"").status_code == 400, "the token is known", EFFECT_SECONDS)
        return secret, token.id

    async def row(self, token_id: str) -> Token:
        """What the database has of a token."""
        async with open_accounts(self.accounts_url) as accounts:
            return next(token for token in await accounts.tokens(TEAM) if token.id == token_id)

    async def last_entry(self) -> AccessEntry:
        """The newest entry of the access log."""
        async with Database(self.accounts_url) as database:
            return (await AccessLog(database).entries(TEAM))[0]

    def send(self, token: str, path: str, body: object) -> requests.Response:
        """Post JSON with a token."""
        return requests.post(f"{self.ingress.base_url}{path}", json=body, headers={"X-Auth-Token": token}, timeout=30)

    def revoke(self, **headers: str) -> requests.Response:
        """What the finder of a leaked token sends."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(f"{self.ingress.base_url}/v1/token/revoke", headers=named, timeout=30)


@pytest.fixture
async def world(kafka: KafkaSettings, tmp_path: Path, accounts_url: str) -> AsyncIterator[World]:
    """An ingress whose accounts may be changed."""
    url, token = await make_accounts(tmp_path, accounts_url)
    with running_ingress(kafka, url, tmp_path) as ingress:
        yield World(ingress, kafka, url, token)


async def test_event_when_the_token_has_a_scope(world: World) -> None:
    """A token sends the events of its scope and no other, one by one, in batches, and as calls of every kind."""
    token, _ = await world.make(event_names=["Paid", "identify", "Signed up"])

    single = [world.send(token, "/v1/event", EVENT | {"event": name}) for name in ("Paid", "paid", "Other")]
    calls = [
        world.send(token, "/v1/track", {"event": "Signed up", "userId": "u"}),
        world.send(token, "/v1/track", {"event": "Signed out", "userId": "u"}),
        world.send(token, "/v1/identify", {"userId": "u"}),
        world.send(token, "/v1/page", {"userId": "u", "name": "Home"}),
    ]
    items = [EVENT | {"event": "Paid"}, EVENT | {"event": "Other"}, {"type": "identify", "userId": "u"}]
    batch = world.send(token, "/v1/batch", {"batch": items})

    assert [answer.status_code for answer in single] == [200, 403, 403]
    refusal = single[1].json()
    assert (refusal["code"], refusal["field"]) == ("event_out_of_scope", "event")
    assert [answer.status_code for answer in calls] == [200, 403, 200, 403]
    assert batch.status_code == 200
    assert [result["status"] for result in batch.json()["results"]] == ["accepted", "rejected", "accepted"]
    assert batch.json()["results"][1]["code"] == "event_out_of_scope"
    assert len(await raw_records(world.kafka)) == 5
    assert world.send(world.token, "/v1/event", EVENT | {"event": "Other"}).status_code == 200


async def test_batch_when_all_is_out_of_scope(world: World) -> None:
    """A batch of which the token may send nothing is refused."""
    token, _ = await world.make(event_names=["Paid"])

    answer = world.send(token, "/v1/batch", {"batch": [EVENT | {"event": "Other"}]})

    assert (answer.status_code, answer.json()["code"]) == (403, "event_out_of_scope")


async def test_token_when_used(world: World) -> None:
    """When a token was last used is kept, and not written again for the rest of the minute."""
    token, token_id = await world.make()
    before = datetime.now(UTC) - timedelta(seconds=EFFECT_SECONDS)

    world.ingress.post(token)

    async def last_used() -> datetime | None:
        return (await world.row(token_id)).last_used_at

    used_at = await eventually(last_used, "the use is written", 10)
    assert used_at is not None
    assert before < used_at < datetime.now(UTC)


@pytest.mark.parametrize("options", [{}, {"event_names": ["Paid"]}])
async def test_token_when_revoked_by_who_holds_it(world: World, options: dict[str, object]) -> None:
    """A secret token revokes itself, is worthless at once, and the log tells from where that came."""
    token, token_id = await world.make(**options)

    answer = world.revoke(X_Auth_Token=token)

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert world.ingress.post(token).json()["code"] == "unknown_token"
    assert (await world.row(token_id)).revoked_at is not None
    assert world.ingress.post(world.token).status_code == 200
    entry = await world.last_entry()
    assert (entry.action, entry.subject, entry.address) == ("token_revoked", token_id, "127.0.0.1")
    assert entry.actor == f"holder of {token_id}"
    assert world.revoke(X_Auth_Token=token).json()["code"] == "unknown_token"
    assert token not in world.ingress.log.read_text()


async def test_token_when_it_is_public_and_somebody_revokes_it(world: World) -> None:
    """What everybody can read in a page does not let everybody stop the page's events."""
    token, token_id = await world.make(write_only=True)

    answer = world.revoke(X_Auth_Token=token)

    assert (answer.status_code, answer.json()["code"]) == (403, "token_scope")
    assert world.ingress.post(token).status_code == 200
    assert (await world.row(token_id)).revoked_at is None


async def test_token_when_its_team_is_disabled(world: World) -> None:
    """Whoever holds a token of a team that may not send can revoke it nevertheless."""
    token, token_id = await world.make()
    async with open_accounts(world.accounts_url) as accounts:
        await accounts.enable_team(TEAM, datetime.now(UTC), ACTOR, enabled=False)
    wait_until(lambda: world.ingress.post(token).status_code == 403, "the team is disabled", EFFECT_SECONDS)

    assert world.revoke(X_Auth_Token=token).status_code == 200
    assert (await world.row(token_id)).revoked_at is not None


async def test_revocation_when_there_is_no_token(world: World) -> None:
    """Without a token, with two, or with one that nobody made, there is nothing to revoke."""
    token, _ = await world.make()
    none, unknown = world.revoke(), world.revoke(X_Auth_Token="evt_unknown")
    two = world.revoke(X_Auth_Token=token, Authorization=f"Bearer {token}")

    assert [json.loads(answer.content)["code"] for answer in (none, two, unknown)] == [
        "missing_token",
        "missing_token",
        "unknown_token",
    ]
    assert world.ingress.post(token).status_code == 200


async def test_revocation_when_the_database_is_away(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Without the database nothing is said to be revoked: 503, then 429 for who tries again and again."""
    url, token = await make_accounts(tmp_path)
    database = tmp_path / "accounts.db"
    with running_ingress(kafka, url, tmp_path) as ingress:
        world = World(ingress, kafka, url, token)
        database.rename(tmp_path / "away.db")

        answers = [world.revoke(X_Auth_Token=token) for _ in range(7)]

        assert answers[0].status_code == 503
        assert answers[0].headers["Retry-After"]
        assert answers[-1].status_code == 429
        assert ingress.post(token).status_code == 200
        (tmp_path / "away.db").rename(database)
        wait_until(lambda: world.revoke(X_Auth_Token=token).status_code == 200, "it is revoked", 10)
        assert ingress.post(token).status_code == 401


async def test_use_when_the_database_is_away(kafka: KafkaSettings, tmp_path: Path) -> None:
    """A use that cannot be written is logged, and nothing else suffers."""
    url, token = await make_accounts(tmp_path)
    with running_ingress(kafka, url, tmp_path) as ingress:
        (tmp_path / "accounts.db").rename(tmp_path / "away.db")

        assert ingress.post(token).status_code == 200
        wait_until(lambda: b"token_use_not_written" in ingress.log.read_bytes(), "the failure is logged", 15)

        assert ingress.post(token).status_code == 200
        assert ingress.is_ready()
        assert token not in ingress.log.read_text()
