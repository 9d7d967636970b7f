"""Recent events of one name, as the warehouse has them: what schemas are tried on."""

from pydantic_settings import SettingsConfigDict

from schemas.samples import properties_of, sample_statement
from schemas.settings import ClickHouseSettings
from sink.writer import MISSING_TABLE, WarehouseUnavailable, Writer

QUERY_SECONDS = 60


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
    statement = sample_statement(f"{team}.events", event, most)
    try:
        async with Writer(settings, QUERY_SECONDS) as warehouse:
            rows = await warehouse.query(statement, {})
    except WarehouseUnavailable as error:
        if error.reason == MISSING_TABLE:
            return []
        raise
    return [properties_of(row[0]) for row in rows]
