"""The first hour of a new user, in a browser against a whole pipeline that `events up` started."""

import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from playwright.async_api import Browser, Page, expect

from tests.browser.chromium import opened
from tests.console import PASSWORD, Visitor
from tests.services import eventually
from tests.stack import Stack, running_stack

EFFECT_SECONDS = 2
STORED_SECONDS = 120


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A pipeline to whose console nobody has come yet."""
    with running_stack(tmp_path_factory.mktemp("story")) as running:
        yield running


def post(line: str) -> requests.Response:
    """Send what a curl line sends."""
    words = shlex.split(line.replace("\\\n", " "))
    headers = dict(word.split(": ", 1) for place, word in enumerate(words) if words[place - 1] == "-H")
    return requests.post(words[1], words[-1].encode(), headers=headers, timeout=10)


@pytest.mark.timeout(300)
async def test_story_when_told(browser: Browser, fresh: Stack) -> None:
    """Set up, request, enable, create, copy, reload, send, and stored within two minutes; revoke, and refused."""
    started = time.monotonic()
    link = urlsplit(fresh.events("user", "setup").strip())
    async with opened(browser, Visitor(f"{link.scheme}://{link.netloc}")) as page:
        await set_up(page, link.path)
        await get_enabled(page)
        secret, line = await make_token(page)
        await page.reload()
        await expect(page.get_by_role("status")).to_contain_text("nothing was done a second time")
        assert secret not in await page.content()
        await see_stored(page, line)
        assert time.monotonic() - started < STORED_SECONDS
        await revoke(page, line)
        await page.get_by_role("link", name="Access log").click()
        for action in ("Token revoked", "Token created", "Team enabled", "Team requested", "Member added"):
            await expect(page.get_by_text(action, exact=True)).to_be_visible()
        assert secret not in await page.content()
    assert secret not in "".join(path.read_text("utf-8", "replace") for path in logs(fresh.data_dir))


async def set_up(page: Page, path: str) -> None:
    """The first sign-in."""
    await page.goto(path)
    await page.get_by_label("Your email address").fill("ann@shop.example")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create the account").click()
    await page.wait_for_url("**/teams/demo/settings")


async def get_enabled(page: Page) -> None:
    """A team that is made without the Events API: its Owner asks, its operator enables."""
    await page.get_by_role("link", name="Operator").click()
    await page.get_by_label("Name of the new team").fill("shop")
    await page.get_by_label("Events API enabled").uncheck()
    await page.get_by_role("button", name="Create").click()
    await page.get_by_role("link", name="Invite an Owner of shop").click()
    await page.get_by_role("button", name="Make the link").click()
    invitation = str(await page.locator("#made-link").text_content())
    await page.goto(urlsplit(invitation).path)
    await page.get_by_role("button", name="Join the team").click()
    await page.get_by_role("button", name="Request access").click()
    await expect(page.get_by_text("Requested by ann@shop.example")).to_be_visible()
    await page.get_by_role("link", name="Operator").click()
    await page.get_by_role("button", name="Enable shop").click()
    await expect(page.get_by_role("status")).to_contain_text("enabled")


async def make_token(page: Page) -> tuple[str, str]:
    """From the settings page to the secret and the curl line, by way of the clipboard."""
    await page.goto("/teams/shop/settings")
    await page.get_by_role("link", name="Create token").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("Shop backend")
    await dialog.get_by_role("button", name="Create token").click()
    copied = []
    for what in ("token", "command"):
        await page.get_by_role("button", name=f"Copy the {what}").click()
        await page.get_by_role("button", name="Copied").wait_for()
        copied.append(str(await page.evaluate("navigator.clipboard.readText()")))
        await page.get_by_role("button", name=f"Copy the {what}").wait_for()
    assert copied[0] == await page.locator("#token-secret").text_content()
    return copied[0], copied[1]


async def see_stored(page: Page, line: str) -> None:
    """Send an event by the line that was copied, and watch it pass until it is stored."""
    await page.get_by_role("link", name="Live", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Live", timeout=20_000)
    answer = await eventually(lambda: _when(line, 200), "the new token is taken")
    row = page.locator("#events li", has_text="My first event").first
    await expect(row.locator(".tag.good", has_text="Stored")).to_be_visible(timeout=20_000)
    event_id = answer["id"]
    await page.get_by_label("Where is my event?").fill(event_id)
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_text(event_id).first).to_be_visible()


async def revoke(page: Page, line: str) -> None:
    """The token is refused within two seconds."""
    await page.goto("/teams/shop/settings")
    await page.get_by_role("link", name="Revoke Shop backend").click()
    await page.get_by_role("button", name="Revoke the token").click()
    await expect(page.get_by_role("status")).to_contain_text("revoked")
    refused = await eventually(lambda: _when(line, 401), "the revoked token is refused", EFFECT_SECONDS)
    assert refused["code"] == "unknown_token"


async def _when(line: str, status: int) -> dict[str, str]:
    """The answer's body; empty where its status is another."""
    answer = post(line)
    body: dict[str, str] = answer.json() if answer.status_code == status else {}
    return body


def logs(data_dir: Path) -> list[Path]:
    """What the processes have written."""
    found = list(data_dir.rglob("*.log"))
    assert found
    return found
