"""Connections to the accounts database, its transactions and migrations.

SQLite runs in WAL mode, so that everybody reads while somebody writes; writers take their lock at once (BEGIN
IMMEDIATE) and wait for each other.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Self

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, NullPool, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from ingress.accounts.errors import AlreadyExists
from ingress.accounts.settings import database_url
from schemas.errors import Unavailable

CONNECT_SECONDS = 5
# How long a statement may take, and its wait for who writes; a migration waits for others that start at the same time.
STATEMENT_SECONDS = 5
MIGRATION_SECONDS = 60
# Any number that no other program locks in the same database.
_MIGRATION_LOCK = 0x6576656E7473


# Set on connections whose transaction will write.
_WRITES = "accounts_writes"


class Database:
    """The accounts database, for one process; the stores share it.

    Nothing is connected before it is used.  Without `create`, a SQLite file that is not there is missed and not made.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        self._engine = open_engine(url, create=create)
        self._writer = self._engine.execution_options(**{_WRITES: True})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """One transaction that changes nothing.

        Raises:
            Unavailable: where the database does not answer.
        """
        with translated():
            async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """One transaction, committed at the end and rolled back by an error.

        Raises:
            Unavailable: where the database does not answer.
            AlreadyExists: where somebody else made the same at the same moment.
        """
        try:
            with translated():
                async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
                    yield session
        except IntegrityError as error:
            raise AlreadyExists("Somebody else made the same at the same moment.") from error


def open_engine(url: str, *, create: bool = True, statement_seconds: int = STATEMENT_SECONDS) -> AsyncEngine:
    """An engine for the accounts database at this URL; nothing is connected yet.

    That of SQLite opens the file anew each time: a database that was moved away is missed and one that was put back
    is found, where an open connection would go on with the old file.
    """
    parsed = make_url(database_url(url))
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, statement_seconds, create=create)
    return create_async_engine(
        parsed,
        pool_size=2,
        pool_pre_ping=True,
        connect_args={"timeout": CONNECT_SECONDS, "command_timeout": statement_seconds},
    )


def _open_sqlite(url: URL, busy_seconds: int, *, create: bool) -> AsyncEngine:
    # Never mode=ro: a reader in WAL mode makes the -shm file where it is missing.
    mode = "rwc" if create else "rw"
    path = Path(url.database or "accounts.db").absolute()
    engine = create_async_engine(
        url.set(database=f"file:{path}", query={"mode": mode, "uri": "true"}),
        poolclass=NullPool,
        # The driver begins no transactions of its own; we do, below, so that DDL is inside them as well.
        connect_args={"isolation_level": None},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: DBAPIConnection, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {busy_seconds * 1000}")
        cursor.execute("PRAGMA foreign_keys = ON")
        if create:
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not wait for others: what it read would be old.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")

    return engine


async def migrate(url: str) -> None:
    """Bring the database at this URL to the newest revision, making it where there is none; several may try at once.

    Raises:
        Unavailable: where the database cannot be reached or written.
    """
    engine = open_engine(url, statement_seconds=MIGRATION_SECONDS)
    try:
        with translated():
            _make_folder(make_url(database_url(url)))
            async with engine.execution_options(**{_WRITES: True}).begin() as connection:
                if engine.dialect.name == "postgresql":
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
                await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Turn the library's errors into `Unavailable`; only those about values (IntegrityError, DataError) go through."""
    try:
        yield
    except (IntegrityError, DataError):
        raise
    except DBAPIError as error:
        if _is_older(error):
            message = f"The accounts database is older than this program; `events team list` migrates it: {error.orig}"
            raise Unavailable(message) from error
        raise Unavailable(f"The accounts database does not answer: {error.orig}") from error
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"The accounts database cannot be reached: {error!r}") from error


def _is_older(error: DBAPIError) -> bool:
    """Whether a table or a column is missing; SQLite has no class of errors for that."""
    missing = getattr(error.orig, "sqlstate", None) in {"42P01", "42703"}
    return missing or str(error.orig).startswith(("no such table", "no such column"))


def _make_folder(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).absolute().parent.mkdir(parents=True, exist_ok=True)


def _upgrade(connection: Connection) -> None:
    with as_file(files("ingress.accounts").joinpath("migrations")) as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
