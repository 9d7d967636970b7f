"""The Live page's wiring, and its rows of the route table."""

from contextlib import AsyncExitStack, nullcontext
from typing import Self

from aiohttp import web

from ingress.accounts.permissions import Permission
from ingress.accounts.sessions import Sessions
from ingress.console.access import Route
from ingress.console.live.pages import LivePages
from ingress.console.live.settings import LiveSettings
from ingress.console.live.stream import Stream
from ingress.console.live.watch import Watch
from ingress.console.pages import Pages
from ingress.receipts.look_up import Sources
from ingress.receipts.record_log import RecordLog
from ingress.receipts.warehouse import Warehouse


class Live:
    """What the Live page is made of; nothing is connected before somebody looks."""

    def __init__(self, settings: LiveSettings) -> None:
        url = settings.clickhouse_url
        self._log = RecordLog(settings, settings.console_receipt_max_records)
        self.warehouse = Warehouse(url.get_secret_value(), settings.clickhouse_database) if url else None
        self._stack = AsyncExitStack()
        # The ingress's spill is on another disk, as far as the console knows.
        self.sources = Sources(self._log, self.warehouse, None)
        self.watch = Watch(settings, settings.console_live_events_per_second, settings.console_live_viewers)

    async def __aenter__(self) -> Self:
        """Nothing yet."""
        for part in (self._log, self.warehouse or nullcontext(), self.watch):
            await self._stack.enter_async_context(part)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect."""
        await self._stack.aclose()

    async def end_streams(self, _app: web.Application) -> None:
        """To be called before aiohttp waits for the handlers (`on_shutdown`)."""
        self.watch.stopping.set()


def live_routes(live: Live, sessions: Sessions, pages: Pages, api_url: str) -> list[Route]:
    """For the members of the team, Owners or not."""
    views = LivePages(pages, live.sources, live.watch.per_second, api_url)
    stream = Stream(live.watch, sessions)
    return [
        Route("GET", "/teams/{team}/live", Permission.VIEW_LIVE, views.get),
        Route("GET", "/teams/{team}/live/stream", Permission.VIEW_LIVE, stream.get),
        Route("GET", "/teams/{team}/live/event", Permission.VIEW_LIVE, views.get_event),
    ]
