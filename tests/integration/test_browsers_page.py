"""The examples of docs/browsers.md, run as they stand, by a web page that keeps a browser's rules."""

import asyncio
import os
import re
import subprocess
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from deploy.topics import create_topics
from ingress.accounts.store import open_accounts
from schemas.settings import KafkaSettings
from tests import node
from tests.accounts import ACTOR
from tests.contract.reference import DOCS
from tests.ingress import Ingress, Raw, make_accounts, raw_records, running_ingress

PAGE = "http://localhost:3000"
BLOCKS = re.findall(r"^```\w+\n(.*?)^```$", (DOCS / "browsers.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
COMMANDS, FETCH, BEACON = BLOCKS


class World(NamedTuple):
    """An ingress, and a token that the page's commands have made."""

    ingress: Ingress
    kafka: KafkaSettings
    token: str

    def show(self, script: str, origin: str = PAGE) -> str:
        """Run a script in a page of this origin; what it prints."""
        node.install()
        script = script.replace("evt_…", self.token).replace("http://127.0.0.1:8080", self.ingress.base_url)
        return node.run("page.mjs", PAGE_ORIGIN=origin, PAGE_SCRIPT=script)

    async def raw(self, event: str) -> Raw:
        """The one raw record of an event of this name."""
        (record,) = [record for record in await raw_records(self.kafka) if event.encode() in record.value]
        return record


@pytest.fixture(scope="module")
async def world(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """An ingress for all tests of this file, after the page's commands."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, 1)
    folder = tmp_path_factory.mktemp("ingress")
    url, _ = await make_accounts(folder)
    async with open_accounts(url) as accounts:
        await accounts.create_team("acme", datetime.now(UTC), ACTOR)
    env = {**os.environ, "ACCOUNTS_URL": url}
    shell = ["sh", "-euc", COMMANDS]
    printed = await asyncio.to_thread(
        subprocess.run, shell, cwd=DOCS.parent, env=env, capture_output=True, text=True, check=True
    )
    with running_ingress(kafka, url, folder) as ingress:
        yield World(ingress, kafka, printed.stdout.splitlines()[-1])


async def test_fetch_when_the_page_is_allowed(world: World) -> None:
    """The page may send, and reads the answer."""
    printed = world.show(FETCH)

    assert "200 { success: true" in printed
    assert await world.raw("Viewed an Item")


async def test_beacon_when_the_page_is_allowed(world: World) -> None:
    """The beacon arrives, without the token in it."""
    world.show(BEACON)

    assert world.token.encode() not in (await world.raw("Left the Page")).value


@pytest.mark.parametrize("script", [FETCH, BEACON], ids=["fetch", "beacon"])
async def test_page_when_it_is_not_allowed(world: World, script: str) -> None:
    """The browser does not let it send, and nothing arrives."""
    before = len(await raw_records(world.kafka))

    printed = world.show(script, origin="http://stranger.example")

    assert "Cross-Origin Request Blocked" in printed
    assert len(await raw_records(world.kafka)) == before


def test_refusal_when_the_page_is_allowed(world: World) -> None:
    """The page reads what was wrong, and the headers that tell of limits."""
    show_headers = 'console.log(answer.headers.get("X-RateLimit-Limit"), answer.headers.get("X-Request-Id"))'

    printed = world.show(FETCH.replace("version: 1", "version: 2") + show_headers)

    assert "400 {" in printed
    assert "invalid_value" in printed
    assert re.search(r"^40000 [0-9a-f]{16}$", printed, re.MULTILINE)


def test_token_when_it_cannot_be_known(world: World) -> None:
    """The page reads that its token is wrong."""
    assert "401 {" in world.show(FETCH.replace("evt_…", "evt_mistyped"))
