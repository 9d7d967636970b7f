"""The Live page in a browser: rows, pause, filters, drawer and search, for everybody, on a pipeline that runs."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.chromium import DESKTOP, PHONE, Scheme, opened
from tests.live import SAMPLE, Team, World, dead_letter, running_world

SLOW_MS = 30_000
AS_SENT = (
    b'{"version":1,"type":"event","event":"Exact","properties":{"price":1.50,"big":12345678901234567890123,"e":[]}}'
)
INDENTED = """{
  "version": 1,
  "type": "event",
  "event": "Exact",
  "properties": {
    "price": 1.50,
    "big": 12345678901234567890123,
    "e": []
  }
}"""


class Look(NamedTuple):
    """A page that a member looks at."""

    page: Page
    team: Team
    world: World

    def row(self, text: str) -> Locator:
        """The rows with this text that are shown."""
        return self.page.locator("#events > li:visible", has_text=text)

    async def post(self, name: str, **members: object) -> str:
        """Post an event, and wait until it is a row."""
        event_id = self.world.post(self.team, event=name, **members)
        await expect(self.row(name)).to_have_count(1, timeout=SLOW_MS)
        return event_id

    async def stored(self) -> None:
        """Wait until an event is stored: a stage ahead has a tag as well, but no good one."""
        await expect(self.row("").locator(".tag.good", has_text="Stored")).to_have_count(1, timeout=SLOW_MS)


@pytest.fixture(scope="module")
async def world(
    bootstrap_servers: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """The whole pipeline for all tests of this file, each with a team of its own."""
    async with running_world(bootstrap_servers, clickhouse_url, tmp_path_factory.mktemp("live")) as running:
        yield running


@asynccontextmanager
async def looking(
    browser: Browser, world: World, size: tuple[int, int] = DESKTOP, scheme: Scheme = "light"
) -> AsyncIterator[Look]:
    """A new team, and its page."""
    team = await world.team()
    async with opened(browser, team.visitor, size, scheme) as page:
        await page.goto(f"/teams/{team.slug}/live")
        await expect(page.locator("#state")).to_have_text("Live", timeout=SLOW_MS)
        yield Look(page, team, world)


async def test_page_when_nothing_passes(browser: Browser, world: World) -> None:
    """An empty page says how to send a first event, and a first event takes its place."""
    async with looking(browser, world) as look:
        await expect(look.page.locator("#example")).to_contain_text("curl")

        await look.post("Bought")

        await expect(look.page.locator("#empty")).to_be_hidden()


async def test_row_when_event_passes(browser: Browser, world: World) -> None:
    """A row gets its stages as the event passes, and the charts tell of it."""
    async with looking(browser, world) as look:
        await look.post("Bought", userId="user-1")

        row = look.row("Bought")
        await expect(row.locator(".tag.good")).to_have_text(["Accepted", "Normalized", "Stored"], timeout=SLOW_MS)
        await expect(row).to_contain_text("user-1")
        await expect(look.page.locator("#freshness-now")).to_contain_text(" s", timeout=SLOW_MS)
        await expect(look.page.locator("#rate-most")).to_have_text("at most 1")
        await expect(look.page.get_by_role("img", name="Events per second")).to_be_visible()
        await expect(look.page.locator("#heard")).to_have_text("1 new", timeout=SLOW_MS)


async def test_rows_when_events_are_bad(browser: Browser, world: World) -> None:
    """What was refused and what became a dead letter show reason and field, in the row and in the drawer."""
    async with looking(browser, world) as look:
        world.ingress.post(look.team.token, b'{"version":1,"type":"event","event":""}')
        await dead_letter(world, look.team)

        await expect(look.row("Refused").locator(".why")).to_contain_text("invalid_value at event:", timeout=SLOW_MS)
        dead = look.row("Dead letter")
        await expect(dead.locator(".why")).to_contain_text("wrong_type at event:", timeout=SLOW_MS)
        await dead.get_by_role("button").click()
        drawer = look.page.get_by_role("dialog")
        await expect(drawer.locator("#drawer-fault")).to_contain_text("wrong_type at event:")
        await expect(drawer.locator("#payload")).to_contain_text('"event": 7')


async def test_filters_when_used(browser: Browser, world: World) -> None:
    """Text, in the payload too, stage and event name each hide what does not fit, and new rows as well."""
    async with looking(browser, world) as look:
        page = look.page
        await look.post("Bought", properties={"note": "needle"})
        await look.post("Viewed")
        world.ingress.post(look.team.token, b'{"version":1,"type":"event","event":""}')
        await expect(look.row("")).to_have_count(3, timeout=SLOW_MS)

        await page.get_by_label("Filter by text").fill("NEEDLE")
        await expect(look.row("")).to_have_count(1)
        await expect(look.row("Bought")).to_have_count(1)
        await page.get_by_label("Filter by text").fill("nowhere")
        await expect(page.get_by_text("None of the events here match")).to_be_visible()
        await page.get_by_label("Filter by text").fill("")
        await page.get_by_label("Filter by stage").select_option("Refused")
        await expect(look.row("")).to_have_count(1)
        await page.get_by_label("Filter by stage").select_option("All stages")
        await page.get_by_label("Filter by event").select_option("Viewed")
        await expect(look.row("")).to_have_count(1)
        await page.get_by_label("Filter by event").select_option("All events")
        await expect(look.row("")).to_have_count(3)


async def test_pause_when_events_go_on(browser: Browser, world: World) -> None:
    """While it is paused no row comes or changes, and the button counts; then all of them are there."""
    async with looking(browser, world) as look:
        await look.post("First")
        await look.page.get_by_role("button", name="Pause").click()
        await expect(look.page.locator("#state")).to_have_text("Paused", timeout=SLOW_MS)

        world.post(look.team, event="Second")
        world.post(look.team, event="Third")

        resume = look.page.get_by_role("button", name="Resume · 2 new")
        await expect(resume).to_be_visible(timeout=SLOW_MS)
        await expect(look.row("")).to_have_count(1)
        await resume.click()
        await expect(look.row("")).to_have_count(3)
        await expect(look.page.locator("#events > li .what").first).to_have_text("Third")


async def test_drawer_when_opened_by_keyboard(browser: Browser, world: World) -> None:
    """Enter opens a row, pretty writes no number anew, raw is what was sent, and Escape returns to the row."""
    async with looking(browser, world) as look:
        page = look.page
        assert world.ingress.post(look.team.token, AS_SENT).status_code == 200
        await expect(look.row("Exact")).to_have_count(1, timeout=SLOW_MS)

        await look.row("Exact").get_by_role("button").focus()
        await page.keyboard.press("Enter")
        drawer = page.get_by_role("dialog", name="Exact")
        payload = drawer.locator("#payload")
        assert await payload.text_content() == INDENTED
        await drawer.get_by_role("button", name="Raw").click()
        assert await payload.text_content() == AS_SENT.decode()
        await drawer.get_by_role("button", name="Copy").click()
        await expect(drawer.get_by_role("button", name="Copied")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == AS_SENT.decode()
        await expect(drawer.locator("#drawer-stages")).to_contain_text("Stored", timeout=SLOW_MS)
        await page.keyboard.press("Escape")

        await expect(drawer).to_have_count(0)
        assert await page.evaluate("document.activeElement.textContent") == await look.row("Exact").text_content()


async def test_payload_when_it_is_hostile(browser: Browser, world: World) -> None:
    """What an event holds is text, in rows, names of filters and the drawer, whatever it looks like."""
    async with looking(browser, world) as look:
        name = '<img src=x onerror="document.title=1">'
        await look.post(name, properties={name: [name]})

        await look.row("<img").get_by_role("button").click()

        await expect(look.page.locator("#payload")).to_contain_text("<img")
        assert await look.page.locator("main img").count() == 0
        await look.page.get_by_role("button", name="Close").click()
        await look.page.get_by_label("Filter by event").select_option(name)
        await expect(look.row("<img")).to_have_count(1)


async def test_search_when_event_is_stored(browser: Browser, world: World) -> None:
    """The receipt opens over the page, by event id and by the sender's own; without scripts it is a page."""
    async with looking(browser, world) as look:
        page = look.page
        event_id = await look.post("Bought", id="order-1")
        await look.stored()
        for given in ("order-1", event_id):
            await page.get_by_label("Where is my event?").fill(given)
            await page.keyboard.press("Enter")
            receipt = page.get_by_role("dialog", name=f"Where is {given}?")
            await expect(receipt).to_contain_text("is stored", timeout=SLOW_MS)
            await receipt.get_by_role("link", name="Close").click()
            await expect(receipt).to_have_count(0)
        async with opened(browser, look.team.visitor, scripts=False) as plain:
            await plain.goto(f"/teams/{look.team.slug}/live")
            await plain.get_by_label("Where is my event?").fill("nobody's")
            await plain.keyboard.press("Enter")
            await expect(plain.get_by_text("No event of this id was acknowledged")).to_be_visible(timeout=SLOW_MS)


async def test_sample_when_much_passes(browser: Browser, world: World) -> None:
    """More than are shown is a sample, and the page says of how many."""
    async with looking(browser, world) as look:
        world.post_batch(look.team, 20 * SAMPLE)

        note = look.page.locator("#sampled")
        await expect(note).to_contain_text("A sample: ", timeout=SLOW_MS)
        await expect(note).to_be_hidden(timeout=SLOW_MS)


async def test_page_when_signed_out_elsewhere(browser: Browser, world: World) -> None:
    """Whose session is closed elsewhere is told so, and sees nothing more."""
    async with looking(browser, world) as look:
        assert look.team.visitor.post("/sign-out").status_code == 303

        await expect(look.page.locator("#trouble")).to_contain_text("You are signed out", timeout=SLOW_MS)
        await expect(look.page.locator("#state")).to_have_text("Ended")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_page_when_checked_by_axe(browser: Browser, world: World, size: tuple[int, int], scheme: Scheme) -> None:
    """Rows of each kind, drawer and receipt break no rule of axe, and nothing has to be scrolled sideways."""
    async with looking(browser, world, size, scheme) as look:
        page = look.page
        await look.post("A name that is rather long, as the names of events in real life happen to be", userId="u" * 60)
        world.ingress.post(look.team.token, json.dumps({"version": 1, "x": "y" * 200}).encode())
        await dead_letter(world, look.team)
        await expect(look.row("")).to_have_count(3, timeout=SLOW_MS)
        await expect(look.row("Dead letter")).to_have_count(1, timeout=SLOW_MS)
        await look.stored()

        for name, view in (("page", None), ("drawer", look.row("Dead letter").get_by_role("button"))):
            if view:
                await view.click()
            # What fades in has little contrast until it is there.
            await page.evaluate(
                "Promise.allSettled(document.getAnimations().map(it => it.finished)).then(() => undefined)"
            )
            found = await Axe().run(page)
            assert found.violations_count == 0, f"{name}: {found.generate_report()}"
            assert await page.evaluate("document.documentElement.scrollWidth") <= size[0], name
