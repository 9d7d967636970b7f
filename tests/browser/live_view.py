"""The Live page with events that pass while it is looked at."""

import time
from collections.abc import Mapping

import requests
from playwright.async_api import Page, expect

from tests.browser.gallery import Gallery, View
from tests.stack import Stack

_GOOD = [
    {"event": "Product Viewed", "properties": {"sku": "G-32", "price": "129.00"}},
    {"event": "Order Completed", "userId": "u-4711", "properties": {"revenue": "39.95", "currency": "EUR"}},
    {"event": "Signed Up", "userId": "u-4712", "properties": {"plan": "team"}},
]


def live_view(stack: Stack, gallery: Gallery) -> View:
    """A view of the page of the gallery's team, at which events of each kind arrive."""

    async def send(page: Page) -> None:
        token = await _token(page)
        await page.goto("/teams/shop/live")
        await expect(page.locator("#state")).to_have_text("Live", timeout=30_000)
        deadline = time.monotonic() + 60
        while _post(stack, token, _GOOD[0]) != 200 and time.monotonic() < deadline:
            await page.wait_for_timeout(200)
        for place in range(24):
            _post(stack, token, _GOOD[place % 3])
            await page.wait_for_timeout(150)
        _post(stack, token, {"event": "Order Completed", "properties": "none"})
        await expect(page.locator("#events .tag.good", has_text="Stored").first).to_be_visible(timeout=30_000)
        await page.wait_for_timeout(2_000)

    return View("/teams/shop/tokens/new", gallery["settings"].visitor, send)


async def _token(page: Page) -> str:
    await page.get_by_label("Name").fill("Checkout")
    await page.get_by_role("button", name="Create token").click()
    return str(await page.locator("#token-secret").text_content())


def _post(stack: Stack, token: str, event: Mapping[str, object]) -> int:
    url = f"{stack.env['EVENTS_API_URL']}/v1/event"
    whole = {"version": 1, "type": "event", **event}
    return requests.post(url, json=whole, headers={"X-Auth-Token": token}, timeout=30).status_code
