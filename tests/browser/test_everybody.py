"""Every page is good for everybody: read aloud, in the dark, on a phone, by keyboard, without scripts."""

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from ingress.accounts.models import Role
from tests.browser.chromium import PHONE, Scheme, opened
from tests.browser.gallery import NAMES, Gallery
from tests.console import PASSWORD, Console

SCRIPTED = {"token-dialog"}


def test_gallery_when_named(gallery: Gallery) -> None:
    """Each view has its tests below."""
    assert list(gallery.views) == NAMES


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
async def test_page_when_checked_by_axe(browser: Browser, gallery: Gallery, name: str, scheme: Scheme) -> None:
    """No rule of axe is broken: names, roles, contrast, order."""
    view = gallery[name]
    async with opened(browser, view.visitor, scheme=scheme) as page:
        await view.show(page)
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", NAMES)
async def test_page_when_on_a_phone(browser: Browser, gallery: Gallery, name: str) -> None:
    """At 360 pixels nothing has to be scrolled sideways, and everything to press is 24 pixels high (WCAG 2.5.8)."""
    view = gallery[name]
    async with opened(browser, view.visitor, PHONE) as page:
        await view.show(page)
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        sizes = await page.locator(
            "button:visible, a.button:visible, input:visible:not([type=checkbox], [type=radio])"
        ).evaluate_all("them => them.map(it => [it.textContent || it.name, it.getBoundingClientRect().height])")
        assert [small for small in sizes if small[1] < 24] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SCRIPTED])
async def test_page_when_without_scripts(browser: Browser, gallery: Gallery, name: str) -> None:
    """The page is whole, and no button stands on it that would do nothing."""
    view = gallery[name]
    async with opened(browser, view.visitor, scripts=False) as page:
        await view.show(page)
        assert await page.locator("h1").count() == 1
        assert await page.locator("button[data-copy]:visible").count() == 0


async def focused(page: Page) -> str:
    """What the keyboard would act on: its label or its text."""
    text: str = await page.evaluate(
        "() => { const it = document.activeElement; return (it.labels?.[0]?.textContent || it.textContent).trim() }"
    )
    return text


async def tab_to(page: Page, text: str) -> None:
    """Press Tab until this has the focus, which must then be seen."""
    for _ in range(60):
        if (await focused(page)).startswith(text):
            outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {text!r}")


async def test_token_when_made_by_keyboard(browser: Browser, console: Console) -> None:
    """From the sign-in to the copied token without a mouse; Escape closes the dialog and the focus returns."""
    team = await console.team()
    user = await console.user({team: Role.OWNER})
    async with opened(browser, console.visitor()) as page:
        await page.goto("/")
        assert await focused(page) == "Email address"
        await page.keyboard.type(user.email)
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/teams/{team}/settings")
        await page.keyboard.press("Tab")
        assert await focused(page) == "Skip to the content"

        await tab_to(page, "Create token")
        await page.keyboard.press("Enter")
        await page.get_by_role("dialog", name="Create token").wait_for()
        await page.keyboard.press("Escape")
        assert await page.get_by_role("dialog").count() == 0
        assert await focused(page) == "Create token"
        await page.keyboard.press("Enter")
        await page.get_by_role("dialog").wait_for()
        assert await focused(page) == "Name"
        await page.keyboard.type("by keyboard")
        await page.keyboard.press("Enter")
        await page.get_by_text("Copy it now").wait_for()

        secret = await page.locator("#token-secret").text_content()
        await tab_to(page, "Copy")
        await page.keyboard.press("Enter")
        await page.get_by_text("Copied.").wait_for(state="attached")
        assert await page.evaluate("navigator.clipboard.readText()") == secret


async def test_dialog_when_password_was_given_long_ago(browser: Browser, gallery: Gallery) -> None:
    """The link then leads to where the password is asked for, and that to the form."""
    view = gallery["confirm"]
    async with opened(browser, view.visitor) as page:
        await page.goto("/teams/shop/settings")
        await page.get_by_role("link", name="Create token").click()
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_label("Name").wait_for()
        assert page.url.endswith("/teams/shop/tokens/new")
