"""The Live page's wiring, and its rows of the route table."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Live:
    """What the Live page is made of."""

    watch: Watch
    sources: Sources

    async def end(self, _app: web.Application) -> None:
        """Tell all streams to end (`on_shutdown`): aiohttp would wait for them."""
        self.watch.stopping.set()


@asynccontextmanager
async def opened(settings: LiveSettings) -> AsyncIterator[Live]:
    """The Live page's ways to Kafka and ClickHouse; nothing is connected before somebody looks."""
    url = settings.clickhouse_url
    warehouse = Warehouse(url.get_secret_value(), settings.clickhouse_database) if url else None
    async with (
        RecordLog(settings, settings.console_receipt_max_records) as log,
        warehouse or nullcontext(),
        Watch(settings, settings.console_live_events_per_second, settings.console_live_viewers) as watch,
    ):
        # The ingress's spill is on another disk, as far as the console knows.
        yield Live(watch, Sources(log, warehouse, None))


def live_routes(live: Live, sessions: Sessions, pages: Pages, api_url: str) -> list[Route]:
    """For the members of the team, Owners or not."""
    views = LivePages(pages, live.sources, live.watch.per_second, api_url)
    stream = Stream(live.watch, sessions)
    return [
        Route("GET", "/teams/{team}/live", Permission.VIEW_LIVE, views.get),
        Route("GET", "/teams/{team}/live/stream", Permission.VIEW_LIVE, stream.get),
        Route("GET", "/teams/{team}/live/event", Permission.VIEW_LIVE, views.get_event),
    ]
