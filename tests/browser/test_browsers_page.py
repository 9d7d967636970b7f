"""The examples of docs/browsers.md, run as they stand, by web pages in a browser."""

import asyncio
import os
import re
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Error

from deploy.topics import create_topics
from ingress.accounts.store import open_accounts
from schemas.settings import KafkaSettings
from tests.accounts import ACTOR
from tests.contract.reference import DOCS
from tests.ingress import Ingress, Raw, make_accounts, raw_records, running_ingress
from tests.services import eventually, wait_until

DOCUMENTED = "http://localhost:3000"
NOT_ALLOWED = 'eventsapi_events_refused_total{code="origin_not_allowed"}'
BLOCKS = re.findall(r"^```\w+\n(.*?)^```$", (DOCS / "browsers.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
COMMANDS, FETCH, BEACON = BLOCKS


class World(NamedTuple):
    """An ingress, a token that the page's commands have made, and a browser."""

    ingress: Ingress
    kafka: KafkaSettings
    token: str
    browser: Browser
    page: str
    stranger: str

    async def show(self, script: str, origin: str = "") -> list[str]:
        """Run a script in a page, the team's where no origin is named, to its end; what the console says."""
        script = script.replace("evt_…", self.token).replace("http://127.0.0.1:8080", self.ingress.base_url)
        said: list[str] = []
        async with await self.browser.new_page() as page:
            page.on("console", lambda message: said.append(message.text))
            await page.goto(origin or self.page)
            try:
                await page.evaluate(f"async () => {{{script}}}")
            except Error as error:
                said.append(error.message)
        return said

    async def raw(self, event: str) -> Raw:
        """The one raw record of an event of this name, once it is there."""

        async def found() -> list[Raw]:
            return [record for record in await raw_records(self.kafka) if event.encode() in record.value]

        (record,) = await eventually(found, "the event arrives")
        return record


@asynccontextmanager
async def served_page() -> AsyncIterator[str]:
    """An empty page of an origin that no other has.  From a server: a page from nowhere may not reach this machine."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text='<link rel="icon" href="data:,"><title>A shop</title>', content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with TestServer(app, host="localhost") as server:
        yield f"http://localhost:{server.port}"


@pytest.fixture(scope="module")
async def world(
    bootstrap_servers: str, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """An ingress for all tests of this file, after the page's commands."""
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic_prefix=f"t{uuid.uuid4().hex[:12]}.")
    await create_topics(kafka, 1)
    folder = tmp_path_factory.mktemp("ingress")
    url, _ = await make_accounts(folder)
    async with open_accounts(url) as accounts:
        await accounts.create_team("acme", datetime.now(UTC), ACTOR)
    async with served_page() as page, served_page() as stranger:
        printed = await asyncio.to_thread(
            subprocess.run,
            ["sh", "-euc", COMMANDS.replace(DOCUMENTED, page)],
            cwd=DOCS.parent,
            env={**os.environ, "ACCOUNTS_URL": url},
            capture_output=True,
            text=True,
            check=True,
        )
        with running_ingress(kafka, url, folder) as ingress:
            yield World(ingress, kafka, printed.stdout.splitlines()[-1], browser, page, stranger)


async def test_fetch_when_the_page_is_allowed(world: World) -> None:
    """The page may send, and reads the answer."""
    (said,) = await world.show(FETCH)

    assert said.startswith("200 {success: true")
    assert await world.raw("Viewed an Item")


async def test_beacon_when_the_page_is_allowed(world: World) -> None:
    """The beacon arrives, without the token in it."""
    await world.show(BEACON)

    assert world.token.encode() not in (await world.raw("Left the Page")).value


async def test_fetch_when_the_page_is_not_allowed(world: World) -> None:
    """The browser asks, and does not let the page send."""
    before = len(await raw_records(world.kafka))

    said = await world.show(FETCH, world.stranger)

    assert any("blocked by CORS policy" in line for line in said)
    assert len(await raw_records(world.kafka)) == before


async def test_beacon_when_the_page_is_not_allowed(world: World) -> None:
    """A browser sends it without asking: it is refused."""
    before, refused = len(await raw_records(world.kafka)), world.ingress.metric(NOT_ALLOWED)

    await world.show(BEACON, world.stranger)

    wait_until(lambda: world.ingress.metric(NOT_ALLOWED) == refused + 1, "it is refused")
    assert len(await raw_records(world.kafka)) == before


async def test_refusal_when_the_page_is_allowed(world: World) -> None:
    """The page reads what was wrong, and the headers that tell of limits."""
    show_headers = 'console.log(answer.headers.get("X-RateLimit-Limit"), answer.headers.get("X-Request-Id"))'

    *_, said, headers = await world.show(FETCH.replace("version: 1", "version: 2") + show_headers)

    assert said.startswith("400 {")
    assert "invalid_value" in said
    assert re.fullmatch(r"40000 [0-9a-f]{16}", headers)


async def test_token_when_it_cannot_be_known(world: World) -> None:
    """The page reads that its token is wrong."""
    *_, said = await world.show(FETCH.replace("evt_…", "evt_mistyped"))

    assert said.startswith("401 {")
