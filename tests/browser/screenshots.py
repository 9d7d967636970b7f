"""`python -m tests.browser.screenshots`: every page of the console as the docs show it, light and dark.

What is on them is looked at before it is kept: docs/console/NAME-light.png and -dark.png.
"""

import asyncio
import io
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page

from tests.accounts import open_stores
from tests.browser.chromium import DESKTOP, Scheme, install, opened, running_chromium
from tests.browser.gallery import NAMES, View, hang
from tests.browser.live_view import live_view
from tests.console import Console, running_console
from tests.docs import ROOT
from tests.stack import running_stack

FOLDER = ROOT / "docs" / "console"
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
LIVE = "live"
CLICKHOUSE = "http://analyst:secret@127.0.0.1:8123"
COLORS = 64
TALL = 1400


async def main(wanted: list[str]) -> None:
    """Make them all, or those that are named."""
    install()
    FOLDER.mkdir(exist_ok=True)
    names = wanted or [*NAMES, LIVE]
    with tempfile.TemporaryDirectory() as temporary:
        async with running_chromium() as browser:
            if plain := [name for name in names if name != LIVE]:
                # Nobody asks it for events here; a console that has one shows one more button.
                async with _console(Path(temporary) / "plain" / "accounts.db", clickhouse_url=CLICKHOUSE) as console:
                    gallery = await hang(console)
                    for name in plain:
                        await _shoot(browser, name, gallery[name])
            if LIVE in names:
                await _shoot_live(browser, Path(temporary) / "stack")


async def _shoot_live(browser: Browser, folder: Path) -> None:
    """That page needs a whole pipeline."""
    with running_stack(folder) as stack:
        env = {"kafka_bootstrap_servers": stack.env["KAFKA_BOOTSTRAP_SERVERS"]}
        async with _console(stack.data_dir / "accounts.db", **env) as console:
            await _shoot(browser, LIVE, live_view(stack, await hang(console)))


@asynccontextmanager
async def _console(database: Path, **settings: str) -> AsyncIterator[Console]:
    async with open_stores(f"sqlite:///{database}") as stores:
        with running_console(database, stores, **settings) as console:
            yield console


async def _shoot(browser: Browser, name: str, view: View) -> None:
    for scheme in SCHEMES:
        async with opened(browser, view.visitor, DESKTOP, scheme) as page:
            await view.show(page)
            await _save(page, FOLDER / f"{name}-{scheme}.png")
    print(f"  ✓ {name}", file=sys.stderr)


async def _save(page: Page, file: Path) -> None:
    """The whole page, where it is not too long, with a palette: a third of the bytes."""
    height = min(await page.evaluate("document.documentElement.scrollHeight"), TALL)
    width, least = DESKTOP
    await page.set_viewport_size({"width": width, "height": max(height, least)})
    shot = Image.open(io.BytesIO(await page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
    shot.quantize(COLORS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
