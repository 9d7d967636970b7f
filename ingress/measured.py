"""Counts and times the answers of a listener's routes."""

import time
from collections.abc import Awaitable

from aiohttp import web

from schemas.metrics import HTTP_REQUEST_SECONDS, HTTP_REQUESTS


async def measured(request: web.Request, answering: Awaitable[web.StreamResponse]) -> web.StreamResponse:
    """The answer, counted under its route, whatever the path was."""
    started = time.perf_counter()
    response = await answering
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "none"
    HTTP_REQUESTS.labels(route=route, status=response.status).inc()
    HTTP_REQUEST_SECONDS.labels(route=route).observe(time.perf_counter() - started)
    return response
