"""Recent events of one name, as the warehouse has them: what schemas are tried on."""

import re
from base64 import b64decode

from pydantic_settings import SettingsConfigDict

from schemas.settings import ClickHouseSettings
from sink.writer import MISSING_TABLE, WarehouseUnavailable, Writer

QUERY_SECONDS = 60
# ClickHouse keeps a text that looks like a time as one, and shows it so: in UTC, with nine digits.
_SHOWN_TIME = re.compile(rb'"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{9})"')


class SampleSettings(ClickHouseSettings):
    """The way to ClickHouse; an analyst's user does."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


async def recent_properties(settings: SampleSettings, team: str, event: str, most: int) -> list[bytes]:
    """The properties of the last events, as JSON, newest first; none where the team has no such events.

    Args:
        settings: the way to ClickHouse.
        team: its slug, checked.
        event: the name, any text.
        most: how many at most.

    Raises:
        Unavailable: ClickHouse does not answer.
    """
    # In hexadecimal and base64 neither side needs an escape.
    statement = (
        f"SELECT base64Encode(toJSONString(properties)) FROM {team}.events "  # noqa: S608 - a checked slug, and numbers
        f"WHERE event = unhex('{event.encode().hex()}') ORDER BY received_at DESC LIMIT {most:d}"
    )
    try:
        async with Writer(settings, QUERY_SECONDS) as warehouse:
            rows = await warehouse.query(statement, {})
    except WarehouseUnavailable as error:
        if error.reason == MISSING_TABLE:
            return []
        raise
    return [_SHOWN_TIME.sub(rb'"\1T\2Z"', b64decode(row[0])) for row in rows]
