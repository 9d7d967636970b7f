"""chdb: the one engine of this process and its connections; the only module that imports it.

Facts of chdb 4.4 (ClickHouse 26.9): one process at a time may open a folder; a connection runs one query at a time
and several run in parallel; opening one takes a millisecond.  So a request gets a fresh connection, and nothing that
one request sets can reach another.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb

from deploy.local.clickhouse.access import analyst_settings, write_configuration
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.users import Role

# Unlike the server, chdb takes `1 + 1` for a query; with this off, a syntax error is one.
_BASE = {"implicit_select": "0"}
# The client's query id; chdb gives its queries ids of its own, so this is how one is found again.
QUERY_ID_SETTING = "log_comment"


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement did, and what it printed where its output was not a file."""

    output: bytes
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    result_rows: int


class Link:
    """A connection in one role; one statement at a time, from any thread."""

    def __init__(self, target: str, user: str = "default") -> None:
        self._user = user
        try:
            self._inner: Any = chdb.connect(target)
        except RuntimeError as error:
            raise ClickHouseError.parse(str(error)) from error

    def run(self, sql: str, output_format: str = "TabSeparated", parameters: Mapping[str, str] | None = None) -> Result:
        """Run one statement to its end.

        Raises:
            ClickHouseError: as ClickHouse raised it.
        """
        try:
            found = self._inner.query(sql, output_format, params=dict(parameters or {}))
        except (RuntimeError, chdb.ChdbError) as error:
            # Inside chdb everybody is `default`; outside nobody is.
            raise ClickHouseError.parse(str(error).replace("default: Not", f"{self._user}: Not")) from error
        writes = found.rows_written() > 0
        return Result(
            output=found.bytes() or b"",
            read_rows=found.storage_rows_read() or (found.rows_read() if writes else 0),
            read_bytes=found.storage_bytes_read(),
            written_rows=found.rows_written(),
            written_bytes=found.bytes_written(),
            result_rows=0 if writes else found.rows_read(),
        )

    def set(self, settings: Mapping[str, str | None]) -> None:
        """Change settings of this connection; None is the default.

        Raises:
            ClickHouseError: one is unknown, or may not be changed.
        """
        if settings:
            self.run("SET " + ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items()))

    def use(self, database: str) -> None:
        """Change the current database of this connection."""
        self.run(f"USE {quote_name(database)}")

    def close(self) -> None:
        """Give it back; a statement that still runs is cancelled."""
        self._inner.close()


class Engine:
    """The engine on one folder, from construction to `close`."""

    def __init__(self, data_dir: Path, memory_bytes: int, analyst_seconds: int) -> None:
        data_dir = data_dir.resolve()
        self._path = data_dir / "db"
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = write_configuration(data_dir / "config", self._path, memory_bytes, analyst_seconds)
        self._analyst = analyst_settings(memory_bytes, analyst_seconds)
        self._operator = Link(f"{self._path}?config-file={config}")
        self._lock = threading.Lock()
        self._own_default_database()
        row = self._operator.run("SELECT version(), timezone(), hostName()").output.decode().rstrip("\n")
        self.version, self.timezone, self.host = row.split("\t")

    def open(self, role: Role, *, readonly: bool) -> Link:
        """A fresh connection in this role; `readonly` for what came by GET."""
        link = Link(str(self._path), role.value)
        try:
            link.run(f"SET ROLE {role.value}")
            if role is Role.ANALYST:
                link.set(_BASE | self._analyst)
                link.set({"profile": "analyst"})  # its constraints; from here on some of the above are locked
                link.set({"readonly": "2"})
            else:
                link.set(_BASE | ({"readonly": "2"} if readonly else {}))
        except ClickHouseError:
            link.close()
            raise
        return link

    def kill(self, query_id: str) -> None:
        """Cancel the query with this id of the client's, if it runs."""
        with self._lock:
            self._operator.run(f"KILL QUERY WHERE Settings[{quote(QUERY_ID_SETTING)}] = {quote(query_id)} ASYNC")

    def close(self) -> None:
        """Shut the engine down; every other connection must be closed before."""
        self._operator.close()

    def _own_default_database(self) -> None:
        """Make `default` the Atomic database it is on a server.

        chdb lays the file system over it: there, an unknown table is taken for the name of a file.  DETACH takes only
        that layer away; DROP would take the tables too.  A database that never had a table has no folder, and chdb
        does not know one without a folder any more at its next start: it is made anew.
        """
        self._operator.run("DETACH DATABASE default")
        stored = self._path / "metadata" / "default.sql"
        if not stored.with_suffix("").exists():
            stored.unlink(missing_ok=True)
        self._operator.run("ATTACH DATABASE default" if stored.exists() else "CREATE DATABASE default ENGINE = Atomic")


def _literal(value: str | None) -> str:
    return "DEFAULT" if value is None else quote(value)


def quote(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_name(name: str) -> str:
    """An identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
