"""The way into ClickHouse, and the only module that knows its client.

The client never retries an insert with other bytes, and every setting that deduplication rests on is sent with the
insert: ClickHouse changed their defaults in 2026 (async_insert in 26.3, deduplicate_insert in 26.2).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import clickhouse_connect
from clickhouse_connect import common
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from schemas.codec import Container
from schemas.errors import PipelineError, Unavailable
from schemas.logs import get_logger
from schemas.settings import ClickHouseSettings
from sink.batch import RowId

log = get_logger(__name__)
T = TypeVar("T")

CONNECT_SECONDS = 5
MISSING_TABLE = "missing_table"
SERVER = "server"
AUTHENTICATION = "authentication"
LOG_EVERY_SECONDS = 60.0

INSERT_SETTINGS = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_insert": "enable",
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # A batch is one block, so that each month's part of it is stored whole or not at all.
    "max_insert_block_size": 1 << 20,
    "min_insert_block_size_rows": 1 << 20,
    "min_insert_block_size_bytes": 1 << 30,
    # A sender's retry stays a row of its own until a merge: the view hides it, the audit sees it, and the insert takes
    # a seventh less of ClickHouse's time.
    "optimize_on_insert": 0,
    # Senders' clocks may name any month.
    "max_partitions_per_insert_block": 0,
    # JSON as senders write it: `{"a": 1, "a": 2}` and `{"a.b": 1, "a": {"b": 2}}` are legal.
    "type_json_skip_duplicated_paths": 1,
    "input_format_null_as_default": 1,
    # The status line is written only when the outcome is known.
    "wait_end_of_query": 1,
}

# Codes by which ClickHouse says that these bytes can never be rows of this table, whenever they are sent.
_REJECTED = frozenset({6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 128, 131, 321, 349, 376, 467})
_STD_EXCEPTION = 1001  # what the Avro library raises comes out as this
_REASONS = {
    # A database, a table, or a column of one.
    MISSING_TABLE: frozenset({16, 60, 81}),
    AUTHENTICATION: frozenset({192, 193, 194, 497, 516}),
    "overloaded": frozenset({159, 202, 241, 252, 439}),
}


class WarehouseUnavailable(Unavailable):
    """ClickHouse did not say that it took the rows; it may have.

    Attributes:
        reason: `connection`, `timeout`, `authentication`, `overloaded`, `missing_table` or `server`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RejectedRows(PipelineError):
    """ClickHouse refuses these rows for what they hold; none was taken."""


class Writer:
    """Inserts into and reads back from one ClickHouse; safe for any number of tasks at a time."""

    def __init__(self, settings: ClickHouseSettings, timeout_seconds: float) -> None:
        self._url = settings.clickhouse_url.get_secret_value()
        self._database = settings.clickhouse_database
        self._timeout_seconds = timeout_seconds
        self._connecting = asyncio.Lock()
        self._client: AsyncClient | None = None
        self._outage = Outage()
        # A server that does not know one of the settings yet has the behavior that the setting keeps.
        common.set_setting("invalid_setting_action", "drop")

    async def __aenter__(self) -> Self:
        """Nothing is connected before it is needed: ClickHouse may be away."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    @property
    def answers(self) -> bool:
        """Whether the last request was answered."""
        return self._client is not None and not self._outage.lasts

    async def execute(self, statement: str) -> None:
        """Run one statement of DDL.

        Raises:
            WarehouseUnavailable: outcome unknown.
        """
        await self._ask(lambda client: client.command(statement))

    async def insert(self, table: str, container: Container, bodies: Sequence[bytes], deduplication_token: str) -> None:
        """Insert rows given as Avro, all of them or, where it fails, maybe some.

        Raises:
            RejectedRows: for what they hold.
            WarehouseUnavailable: outcome unknown.
        """
        whole = container.build(bodies)
        settings = INSERT_SETTINGS | {"insert_deduplication_token": deduplication_token}
        await self._send(
            lambda client: client.raw_insert(table, container.columns, _whole(whole), settings=settings, fmt="Avro")
        )

    async def insert_row_binary(
        self, table: str, columns: Sequence[str], body: bytes, deduplication_token: str
    ) -> None:
        """Insert rows in RowBinary into a table of the warehouse, all of them or, where it fails, maybe some.

        Raises:
            RejectedRows: for what they hold.
            WarehouseUnavailable: outcome unknown.
        """
        settings = INSERT_SETTINGS | {"insert_deduplication_token": deduplication_token}
        await self._send(
            lambda client: client.raw_insert(
                f"{self._database}.{table}", columns, _whole(body), settings=settings, fmt="RowBinary"
            )
        )

    async def present(self, table: str, partition: int, lowest_raw: int, highest_raw: int) -> set[RowId]:
        """Which rows of a span of raw offsets are in a table.

        Raises:
            WarehouseUnavailable: try again.
        """
        answer = await self._ask(
            lambda client: client.raw_query(
                f"SELECT _raw_offset, event_id FROM {table} "  # noqa: S608 - our own names
                f"WHERE _raw_partition = {partition:d} AND _raw_offset BETWEEN {lowest_raw:d} AND {highest_raw:d}",
                fmt="TabSeparated",
            )
        )
        pairs = (line.split(b"\t") for line in answer.splitlines())
        return {(int(raw_offset), event_id) for raw_offset, event_id in pairs}

    async def highest_raw(self, table: str, partition: int, above: int) -> int:
        """The highest raw offset in a table, looking above a given one; that one where there is none.

        Raises:
            WarehouseUnavailable: try again.
        """
        answer = await self._ask(
            lambda client: client.raw_query(
                f"SELECT count(), max(_raw_offset) FROM {table} "  # noqa: S608 - our own names
                f"WHERE _raw_partition = {partition:d} AND _raw_offset >= {above + 1:d}",
                fmt="TabSeparated",
            )
        )
        count, highest = answer.split()
        return int(highest) if int(count) else above

    async def query(self, statement: str, settings: Mapping[str, int]) -> list[list[str]]:
        """The cells of an answer, for values that need no escape: numbers and UUIDs.

        Raises:
            WarehouseUnavailable: try again.
        """
        answer = await self._ask(
            lambda client: client.raw_query(statement, settings=dict(settings), fmt="TabSeparated")
        )
        return [line.split("\t") for line in answer.decode().splitlines()]

    async def _ask(self, call: Callable[[AsyncClient], Awaitable[T]]) -> T:
        """A request that holds no rows cannot be rejected for them."""
        try:
            return await self._send(call)
        except RejectedRows as error:
            raise WarehouseUnavailable(SERVER, str(error)) from error

    async def _send(self, call: Callable[[AsyncClient], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await call(await self._connected())
        except TimeoutError as error:
            raise self._outage.begins(
                WarehouseUnavailable("timeout", f"no answer in {self._timeout_seconds:g} s")
            ) from error
        except (ClickHouseError, OSError) as error:
            translated = _translate(error)
            if isinstance(translated, WarehouseUnavailable):
                self._outage.begins(translated)
            raise translated from error
        self._outage.ends()
        return answer

    async def _connected(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                self._client = await clickhouse_connect.get_async_client(
                    dsn=self._url,
                    client_name="events-sink",
                    compress=False,
                    connect_timeout=CONNECT_SECONDS,
                    send_receive_timeout=self._timeout_seconds,
                    query_retries=0,
                    # Otherwise the client logs each failure with a traceback, once per attempt.
                    show_clickhouse_errors=True,
                )
            return self._client


class Outage:
    """Whether ClickHouse is away, and how often that is logged: at its begin, each minute, and at its end."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._logged = 0.0

    @property
    def lasts(self) -> bool:
        """Whether it is away."""
        return self._since is not None

    def begins(self, error: WarehouseUnavailable) -> WarehouseUnavailable:
        """Note a failure, and return it."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._logged >= LOG_EVERY_SECONDS:
            self._logged = now
            todo = _TODO.get(error.reason, "nothing is lost; it is tried again until it succeeds")
            log.warning(
                "clickhouse_away", reason=error.reason, error=str(error), seconds=round(now - self._since), todo=todo
            )
        return error

    def ends(self) -> None:
        """Note a success."""
        if self._since is not None:
            log.info("clickhouse_back", seconds=round(time.monotonic() - self._since))
            self._since, self._logged = None, 0.0


_TODO = {AUTHENTICATION: "set user and password in CLICKHOUSE_URL, and grant what the sink needs"}


def _translate(error: Exception) -> WarehouseUnavailable | RejectedRows:
    code = error.code if isinstance(error, Error) else None
    message = str(error)
    if code in _REJECTED or (code == _STD_EXCEPTION and "avro::" in message):
        return RejectedRows(message)
    for reason, codes in _REASONS.items():
        if code in codes:
            return WarehouseUnavailable(reason, message)
    return WarehouseUnavailable("connection" if code is None else SERVER, message)


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    """A body as one piece; of bytes the client sends 64 KiB per turn of the event loop, and may send them twice."""
    yield body
