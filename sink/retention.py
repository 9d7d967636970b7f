"""What `warehouse.retention` says, and the tables that follow it.

Who changes it and who makes a table each read it after their own step, so that neither misses the other.
"""

from base64 import b64decode
from datetime import UTC, datetime, timedelta

from schemas.retention import Retention, Setting, past_query, retention_statements
from sink.writer import MISSING_TABLE, WarehouseUnavailable, Writer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SETTINGS = "SELECT team, days, toUnixTimestamp64Micro(set_at) FROM {database}.retention"
# In base64, as it has quotes.
_TABLES = """
SELECT name, base64Encode(extract(engine_full, ' TTL (.*?)(?: SETTINGS .*)?$'))
FROM system.tables WHERE database = '{database}' AND engine LIKE '%MergeTree'{more} ORDER BY name"""


class RetentionTable:
    """How long a warehouse keeps its rows; all methods raise WarehouseUnavailable where ClickHouse does not answer."""

    def __init__(self, writer: Writer, database: str) -> None:
        self._writer = writer
        self._database = database

    async def read(self) -> Retention:
        """All that was ever set; nothing where no sink has made the table yet."""
        try:
            rows = await self._writer.query(_SETTINGS.format(database=self._database), {})
        except WarehouseUnavailable as error:
            if error.reason == MISSING_TABLE:
                return Retention()
            raise
        return Retention(Setting(team, int(days), _EPOCH + timedelta(microseconds=int(at))) for team, days, at in rows)

    async def set(self, team: str, days: int) -> None:
        """Set it for a team; tables follow with `apply`."""
        # Not VALUES, which ClickHouse may keep back and insert later; and its own clock, which orders what is set.
        await self._writer.execute(f"INSERT INTO {self._database}.retention (team, days) SELECT '{team}', {days:d}")

    async def apply(self, table: str | None = None) -> None:
        """Make all tables follow what was set, or one of them; those that do are left alone."""
        done: list[str] = []
        # Again, for somebody may have set something meanwhile, and not yet have seen what was done here.
        while (wanted := await self._statements(table)) not in ([], done):
            for statement in wanted:
                await self._writer.execute(statement)
            done = wanted

    async def past(self, team: str, days: int) -> dict[str, int]:
        """How many rows of a team each table holds that are past their time, if so many days are set."""
        ttls = await self._ttls(None)
        rows = await self._writer.query(past_query(self._database, ttls, team, days), {})
        return {table: int(count) for table, count in sorted(rows) if int(count)}

    async def _statements(self, table: str | None) -> list[str]:
        retention = await self.read()
        return retention_statements(self._database, await self._ttls(table), retention) if retention else []

    async def _ttls(self, table: str | None) -> dict[str, str]:
        more = "" if table is None else f" AND name = '{table}'"
        rows = await self._writer.query(_TABLES.format(database=self._database, more=more), {})
        return {name: b64decode(ttl).decode() for name, ttl in rows}
