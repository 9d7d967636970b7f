"""Debian's Chromium: installed where that is possible, and a page in it that fails on whatever it complains of."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright

from tests import debian
from tests.console import SESSION_COOKIE, Visitor

DESKTOP, PHONE = (1280, 800), (360, 740)
Scheme = Literal["light", "dark"]
PROGRAM = "/usr/bin/chromium"


def install() -> None:
    """Chromium, and a font, since a page without one has no sizes; nothing where they are there.

    Raises:
        RuntimeError: where that cannot be done, with what to do.
    """
    if not Path(PROGRAM).exists():
        for package in ("chromium", "fonts-dejavu-core"):
            debian.install(package)


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """A browser without a window.  It refuses its own sandbox to root, as whom tests run in containers."""
    install()
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser,
    visitor: Visitor,
    size: tuple[int, int] = DESKTOP,
    scheme: Scheme = "light",
    *,
    scripts: bool = True,
) -> AsyncIterator[Page]:
    """A new window with the visitor's cookies; at its end, nothing was blocked by the policy and no script failed."""
    width, height = size
    context = await browser.new_context(
        base_url=visitor.base_url,
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        java_script_enabled=scripts,
        permissions=["clipboard-read", "clipboard-write"],
    )
    try:
        if visitor.cookies:
            value = visitor.cookies[SESSION_COOKIE]
            host = visitor.base_url.removeprefix("http://").partition(":")[0]
            cookie = {"name": SESSION_COOKIE, "value": value, "domain": host, "path": "/", "secure": True}
            await context.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict of theirs
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", _complaining(complaints))
        page.on("pageerror", lambda error: complaints.append(_text(error)))
        yield page
        assert complaints == []
    finally:
        await context.close()


def _complaining(complaints: list[str]) -> Callable[[ConsoleMessage], None]:
    def hear(message: ConsoleMessage) -> None:
        # A page that answers 403, 404 or 422 is no fault of the page.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    return hear


def _text(error: Error) -> str:
    return str(error)
