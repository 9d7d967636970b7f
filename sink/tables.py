"""Makes the warehouse, and each team's database and view when its first event comes.  Every statement may run again."""

import asyncio
from collections.abc import Collection

from schemas.ddl import team_statements, warehouse_statements
from schemas.logs import get_logger
from sink.writer import Writer

log = get_logger(__name__)


class Tables:
    """Knows which tables exist, as far as this process has made them."""

    def __init__(self, writer: Writer, database: str) -> None:
        self._writer = writer
        self._database = database
        self._making = asyncio.Lock()
        self._made: set[str] = set()

    async def ensure(self, teams: Collection[str] = ()) -> None:
        """Make what these teams' rows need, where it was not made yet.

        Raises:
            Unavailable: ClickHouse does not answer; call again.
        """
        if self._database in self._made and self._made.issuperset(teams):
            return
        async with self._making:
            if self._database not in self._made:
                await self._make(self._database, warehouse_statements(self._database))
            for team in sorted(set(teams) - self._made):
                await self._make(team, team_statements(team, self._database))

    def forget(self) -> None:
        """Somebody dropped a table: make all of them again."""
        self._made.clear()

    async def _make(self, name: str, statements: list[str]) -> None:
        for statement in statements:
            await self._writer.execute(statement)
        self._made.add(name)
        log.info("tables_ready", database=name)
