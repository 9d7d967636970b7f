"""The warehouse, asked for one event, or for the last ones of a name.

The only module of the ingress that knows ClickHouse's client.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Self

import clickhouse_connect
from clickhouse_connect import common
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from ingress.receipts.evidence import Row, Wanted
from schemas.errors import Unavailable
from schemas.logs import get_logger
from schemas.samples import properties_of, sample_statement

ANSWER_SECONDS = 10.0
QUERY_SECONDS = 8
CONNECT_SECONDS = 5
MAX_ROWS = 10
# No sink has made the table yet.
_MISSING_TABLE = frozenset({60, 81})
_ACCESS_DENIED = 497
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The rows as they are stored, each sending that ClickHouse has not merged yet.
_ROWS = """
SELECT _raw_partition, _raw_offset, toUnixTimestamp64Micro(received_at), toUnixTimestamp64Micro(inserted_at)
FROM {table} WHERE team = {{team:String}} AND event_id = {{event_id:UUID}} ORDER BY _raw_offset LIMIT {most}
"""

_log = get_logger(__name__)


class Warehouse:
    """A reader of `warehouse.events`.

    Args:
        url: with user and password.
        database: the warehouse's name.
    """

    def __init__(self, url: str, database: str) -> None:
        self._url = url
        self._table = f"{database}.events"
        self._query = _ROWS.format(table=self._table, most=MAX_ROWS)
        self._connecting = asyncio.Lock()
        self._client: AsyncClient | None = None
        # A user who may change no setting gets along without ours.
        common.set_setting("invalid_setting_action", "drop")

    async def __aenter__(self) -> Self:
        """Nothing is connected before somebody asks."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.close()

    async def rows(self, wanted: Wanted) -> list[Row]:
        """The rows of an event, at most MAX_ROWS.

        Raises:
            Unavailable: ClickHouse does not answer.
        """
        lines = await self._lines(self._query, {"team": wanted.team, "event_id": str(wanted.event_id)})
        return [_row(line) for line in lines]

    async def recent_properties(self, team: str, event: str, most: int) -> list[bytes]:
        """The properties of the team's last events of a name, as JSON, newest first.

        Raises:
            Unavailable: ClickHouse does not answer, or does not let the user read them.
        """
        return [properties_of(line) for line in await self._lines(sample_statement(self._table, event, most, team), {})]

    async def _lines(self, query: str, parameters: dict[str, str]) -> list[bytes]:
        """The lines of an answer; none where no sink has made the table yet."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                client = await self._connected()
                answer = await client.raw_query(
                    query, parameters, settings={"max_execution_time": QUERY_SECONDS}, fmt="TabSeparated"
                )
        except (ClickHouseError, TimeoutError, OSError) as error:
            code = error.code if isinstance(error, Error) else None
            if code in _MISSING_TABLE:
                return []
            _log.warning("receipt_without_clickhouse", reason=str(error) or repr(error))
            if code == _ACCESS_DENIED:
                raise Unavailable("The user in CLICKHOUSE_URL may not read what is asked for here.") from error
            raise Unavailable("ClickHouse does not answer: ask again in a moment.") from error
        return answer.splitlines()

    async def _connected(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                self._client = await clickhouse_connect.get_async_client(
                    dsn=self._url,
                    client_name="events-receipts",
                    connect_timeout=CONNECT_SECONDS,
                    send_receive_timeout=QUERY_SECONDS,
                    query_retries=0,
                    # Otherwise the client logs each failure with a traceback.
                    show_clickhouse_errors=True,
                )
            return self._client


def _row(line: bytes) -> Row:
    partition, offset, received_at, inserted_at = map(int, line.split(b"\t"))
    return Row(partition, offset, _time(received_at), _time(inserted_at))


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
