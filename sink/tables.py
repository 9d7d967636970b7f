"""Makes the warehouse, each team's database and views, and the tables of schemas.  Every statement may run again."""

import asyncio
from collections.abc import Collection
from typing import NoReturn

from schemas.ddl import team_statements, typed_statements, union_statement, warehouse_statements
from schemas.logs import get_logger
from schemas.registered import Registered, Version
from sink.retention import RetentionTable
from sink.writer import AUTHENTICATION, MISSING_TABLE, SERVER, WarehouseUnavailable, Writer

log = get_logger(__name__)

RETRY_SECONDS = 1.0


class Tables:
    """Knows which tables exist, as far as this process has made them."""

    def __init__(self, writer: Writer, database: str, registered: Registered | None = None) -> None:
        self._writer = writer
        self._database = database
        self._registered = registered or Registered()
        self._retention = RetentionTable(writer, database)
        self._making = asyncio.Lock()
        self._made: set[str] = set()
        self._written: set[int] = set()
        self._noted: asyncio.Queue[Version] = asyncio.Queue()

    async def ensure(self, teams: Collection[str] = (), writer_ids: Collection[int] = ()) -> None:
        """Make what the rows of these teams, and of these schemas, need, where it was not made yet.

        Raises:
            Unavailable: ClickHouse does not answer; call again.
        """
        if self._database in self._made and self._made.issuperset(teams) and self._written.issuperset(writer_ids):
            return
        async with self._making:
            if self._database not in self._made:
                await self._make(self._database, warehouse_statements(self._database))
            for team in sorted(set(teams) - self._made):
                await self._make(team, team_statements(team, self._database))
            for writer_id in sorted(set(writer_ids) - self._written):
                if (version := self._registered.written_by(writer_id)) is not None:
                    await self._make_typed(version)
                self._written.add(writer_id)

    def note(self, version: Version) -> None:
        """A schema was registered: `keep_up` makes its table, before anything comes for it."""
        self._noted.put_nowait(version)

    async def keep_up(self) -> NoReturn:
        """Make the tables of registered schemas for ever, however often ClickHouse is away."""
        while True:
            version = await self._noted.get()
            while not version.deleted:
                try:
                    await self.ensure([version.subject.team], [version.writer_id])
                    break
                except WarehouseUnavailable:
                    await asyncio.sleep(RETRY_SECONDS)

    def forget(self) -> None:
        """Somebody dropped a table: make all of them again."""
        self._made.clear()
        self._written.clear()

    async def _make(self, name: str, statements: list[str]) -> None:
        for statement in statements:
            await self._writer.execute(statement)
        if name == self._database:
            await self._keep()
        self._made.add(name)
        log.info("tables_ready", database=name)

    async def _make_typed(self, version: Version) -> None:
        subject = version.subject
        for statement in typed_statements(version, self._database):
            await self._writer.execute(statement)
        await self._keep(f"{subject.team}.{version.table}")
        log.info("typed_table_ready", database=subject.team, table=version.table, version=version.number)
        majors = self._registered.of_event(subject)
        if any(each.subject.major > 1 for each in majors):
            await self._make_union(majors)

    async def _keep(self, table: str | None = None) -> None:
        """Give tables their retention; that it cannot be done is no reason to store no rows."""
        try:
            await self._retention.apply(table)
        except WarehouseUnavailable as error:
            if error.reason not in {AUTHENTICATION, SERVER, MISSING_TABLE}:
                raise
            log.warning(
                "retention_not_applied", table=table, error=str(error),
                todo="rows stay for too long: grant the sink's user ALTER TTL, ALTER SETTINGS, and start it again",
            )  # fmt: skip

    async def _make_union(self, majors: list[Version]) -> None:
        """A convenience: rows are stored whether or not it can be made."""
        try:
            await self._writer.execute(union_statement(majors))
        except WarehouseUnavailable as error:
            if error.reason not in {SERVER, MISSING_TABLE}:
                raise
            log.warning("union_not_made", subject=str(majors[0].subject), error=str(error), todo="query each table")
