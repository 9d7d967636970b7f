"""A schema in a browser, on a whole pipeline: from its form to the typed table."""

import json
import uuid
from collections.abc import AsyncIterator

import clickhouse_connect
import pytest
import requests
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from ingress.accounts.models import Role
from tests.accounts import ACTOR, open_stores
from tests.browser.chromium import opened
from tests.console import PASSWORD, Visitor, now
from tests.services import wait_until
from tests.stack import Stack

REVENUE = {"name": "revenue", "type": ["null", "double"], "default": None}
TOTAL = {"name": "event", "property": "Order Total", "type": ["null", "string"], "default": None}


@pytest.fixture
async def page(browser: Browser, stack: Stack) -> AsyncIterator[Page]:
    """An Owner's of the team `demo`."""
    async with open_stores(f"sqlite:///{stack.data_dir / 'accounts.db'}") as stores:
        secret = await stores.people.invite("demo", Role.OWNER, None, now(), ACTOR)
    async with opened(browser, Visitor(stack.env["CONSOLE_URL"])) as page:
        await page.goto(f"/invite/{secret}")
        await page.get_by_label("Your email address").fill(f"{uuid.uuid4().hex[:8]}@shop.example")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Create the account").click()
        await page.wait_for_url("**/teams/demo/settings")
        yield page


def send(stack: Stack, event: str, revenues: list[str]) -> None:
    """Post an event with each of them."""
    url, headers = f"{stack.env['EVENTS_API_URL']}/v1/event", {"X-Auth-Token": stack.env["EVENTS_TOKEN"]}
    for revenue in revenues:
        body = {"version": 1, "type": "event", "event": event, "properties": {"revenue": revenue}}
        assert requests.post(url, json=body, headers=headers, timeout=10).status_code == 200


async def press(page: Page, button: str, *fields: object) -> None:
    """Fill in the schema, and press a button."""
    schema = {"type": "record", "name": "Order", "fields": fields}
    await page.get_by_label("Schema").fill(json.dumps(schema, indent=2))
    await page.get_by_role("button", name=button, exact=True).click()


async def test_schema_when_registered_in_a_browser(page: Page, stack: Stack) -> None:
    """Its columns are shown before and after, and are the table's; a change that is not compatible is told why."""
    event = f"Paid {uuid.uuid4().hex[:8]}"
    await page.get_by_role("link", name="Schemas").click()
    await page.get_by_role("link", name="Register a schema").click()
    await page.get_by_label("Event").fill(event)
    await press(page, "Check", REVENUE, TOTAL)
    await expect(page.get_by_role("status")).to_contain_text("It can be registered, as version 1")
    await expect(page.get_by_role("cell", name="prop_event")).to_be_visible()
    await page.get_by_role("button", name="Register it").click()
    await expect(page.get_by_role("status")).to_contain_text("The schema is registered")
    await expect(page.get_by_role("cell", name="Nullable(Float64)")).to_be_visible()

    warehouse, table = clickhouse_connect.get_client(dsn=stack.env["CLICKHOUSE_URL"]), event.lower().replace(" ", "_")
    wait_until(lambda: warehouse.command(f"EXISTS TABLE demo.{table}"), "the typed table")
    typed = {row[0]: row[1] for row in warehouse.query(f"DESCRIBE TABLE demo.{table}").result_rows}
    assert (typed["revenue"], typed["prop_event"]) == ("Nullable(Float64)", "Nullable(String)")

    await page.get_by_role("link", name="New version").click()
    await expect(page.get_by_label("Event")).to_have_value(event)
    await press(page, "Register", REVENUE | {"type": ["null", "string"]}, TOTAL)
    await expect(page.get_by_role("alert")).to_contain_text("revenue was of type double and is of type string now")
    assert '"string"' in await page.get_by_label("Schema").input_value()
    await press(page, "Register", REVENUE, TOTAL, {"name": "note", "type": "string", "default": ""})
    await expect(page.get_by_role("heading", name="Version 2")).to_be_visible()

    await page.get_by_role("link", name="Delete version 2").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Events are written by version 1 again")
    await dialog.get_by_role("button", name="Delete the version").click()
    await expect(page.get_by_role("status")).to_contain_text("The version is deleted")
    await expect(page.get_by_role("heading", name="Version 1")).to_be_visible()


async def test_schema_when_proposed_in_a_browser(page: Page, stack: Stack) -> None:
    """Events that were sent make a proposal, which can be registered as it is; what does not fit is told."""
    event = f"Paid {uuid.uuid4().hex[:8]}"
    send(stack, event, ["39.95"] * 20 + ["much"])
    warehouse = clickhouse_connect.get_client(dsn=stack.env["CLICKHOUSE_URL"])
    count = "SELECT count() FROM demo.events WHERE event = %(event)s"
    wait_until(lambda: warehouse.query(count, {"event": event}).result_rows == [(21,)], "the events are stored")
    await page.goto("/teams/demo/schemas/new")
    await page.get_by_label("Event").fill(event)

    await page.get_by_role("button", name="Propose from recent events").click()

    await expect(page.get_by_role("status")).to_contain_text("Proposed from the last 21 events")
    await expect(page.get_by_role("cell", name='"much" is no number')).to_be_visible()
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    await page.get_by_role("button", name="Register", exact=True).click()
    await expect(page.get_by_role("cell", name="Nullable(Float64)")).to_be_visible()
