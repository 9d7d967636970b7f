"""What browser tests share."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.chromium import install, running_chromium
from tests.browser.gallery import Gallery, hang
from tests.console import Console

FOLDER = Path(__file__).parent


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install the browser outside of any test, whose time it would use up; where it cannot be, these tests say so."""
    if any(FOLDER in item.path.parents for item in session.items) and not session.config.option.collectonly:
        with suppress(RuntimeError):
            install()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser; each test opens windows of its own."""
    async with running_chromium() as running:
        yield running


@pytest.fixture(scope="session")
async def gallery(console: Console) -> Gallery:
    """Every page of the console, with something on it."""
    return await hang(console)
