"""A PostgreSQL of Debian's package, in a folder of its own, for as long as a context lasts."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from ingress.accounts.settings import database_url
from tests import debian
from tests.services import STOP_SECONDS, free_port, wait_until

# What Debian's package makes; the server refuses to run as root.
_ACCOUNT = "postgres"
_SUPERUSER = "events"


class Postgres:
    """A server that can be started and stopped, again and again; its data stays.

    Attributes:
        url: of a database from which others are made.
    """

    def __init__(self, programs: Path, data_dir: Path) -> None:
        self.programs, self.data_dir, self.port = programs, data_dir, free_port()
        self.url = f"postgresql://{_SUPERUSER}@127.0.0.1:{self.port}/postgres"
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": self.port}
        named = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [*_as_account(), str(self.programs / "postgres"), "-D", str(self.data_dir), *named]
        with (self.data_dir.parent / "postgres.log").open("ab") as log:
            self._running = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.data_dir)
        ask = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(lambda: subprocess.run(ask, check=False).returncode == 0, "PostgreSQL is ready", 60)

    def stop(self) -> None:
        """Cut all connections and stop it, where it runs."""
        if self._running is not None:
            self._running.send_signal(signal.SIGINT)
            self._running.wait(STOP_SECONDS)
            self._running = None


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a new PostgreSQL on a free port; afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="events-postgres-"))
    server = Postgres(_programs(), folder / "data")
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _ACCOUNT, _ACCOUNT)
        make = [
            str(server.programs / "initdb"),
            "-D",
            str(server.data_dir),
            "-U",
            _SUPERUSER,
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        subprocess.run([*_as_account(), *make, "--locale=C", "-N"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def database_of_its_own(url: str) -> AsyncIterator[str]:
    """Make an empty database on the server at this URL, and drop it afterwards."""
    name = f"t{uuid.uuid4().hex[:12]}"
    # No transaction may be around these statements, and the server may be started anew between them.
    engine = create_async_engine(database_url(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
        yield f"{url.rpartition('/')[0]}/{name}"
        async with engine.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        await engine.dispose()


def _programs() -> Path:
    """The folder with initdb and postgres, which Debian keeps out of PATH."""
    if (found := _find()) is None:
        debian.install("postgresql")
        found = _find()
    if found is None:
        raise RuntimeError("The package postgresql is installed, but its programs were not found.")
    return found


def _find() -> Path | None:
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    return max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)


def _as_account() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--clear-groups"]
