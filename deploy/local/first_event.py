"""One event the whole way, as a producer and an analyst would: the proof that what was started works."""

import asyncio
import time
from typing import Any

import aiohttp

from deploy.local.demo_token import TEAM
from deploy.local.errors import ExitCode, LaunchError

EVENT = {"version": 1, "type": "event", "event": "Events API Started", "properties": {"by": "events up"}}
_QUERY = f"SELECT count() FROM {TEAM}.events WHERE event_id = {{id:UUID}}"  # noqa: S608 - a constant
_POLL_SECONDS = 0.05
_REFUSED = frozenset({400, 401, 403, 413})


class TeamDisabled(Exception):
    """Somebody switched the demo team off; that is theirs to decide."""


async def send_and_read(api: str, token: str, clickhouse_url: str, seconds: float) -> float:
    """Post an event and wait until an analyst's query finds it; returns how long after its POST that was.

    Raises:
        LaunchError: it did not arrive in time, with the last answer.
        TeamDisabled: the demo team may not send.
    """
    last = "nothing was answered"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    began = time.monotonic()
                    event_id, last = await _post(session, api, token)
                    if event_id:
                        break
                    await asyncio.sleep(_POLL_SECONDS)
                while True:
                    found, last = await _is_readable(session, clickhouse_url, event_id)
                    if found:
                        return time.monotonic() - began
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise LaunchError(
                ExitCode.NOT_STARTED, f"the first event was not readable after {seconds:.0f} s; the last answer: {last}"
            ) from error


async def _post(session: aiohttp.ClientSession, api: str, token: str) -> tuple[str | None, str]:
    """The event's id once it is accepted, and the answer in words."""
    try:
        async with session.post(f"{api}/v1/event", json=EVENT, headers={"X-Auth-Token": token}) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
    except (aiohttp.ClientError, ValueError) as error:
        return None, f"{api}: {error!r}"
    said = f"{api}: {response.status} {answer}"
    if response.status == 403:
        raise TeamDisabled
    if response.status in _REFUSED:
        raise LaunchError(ExitCode.NOT_STARTED, f"the first event was refused; {said}")
    return (str(answer["id"]) if response.status == 200 else None), said


async def _is_readable(session: aiohttp.ClientSession, url: str, event_id: str) -> tuple[bool, str]:
    """Whether an analyst finds the event, and the answer in words."""
    try:
        # Until the sink has made the team's view, asking for its rows would fill ClickHouse's log with refusals.
        for query in (f"EXISTS {TEAM}.events", _QUERY):
            async with session.post(url, params={"param_id": event_id}, data=query) as response:
                text = (await response.text()).strip()
            if response.status != 200 or text != "1":
                return False, f"ClickHouse: {response.status} {text[:300]}"
    except aiohttp.ClientError as error:
        return False, repr(error)
    return True, ""
