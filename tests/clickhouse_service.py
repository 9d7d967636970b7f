"""The embedded ClickHouse endpoint as its own process, as the launcher runs it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from deploy.local.clickhouse.users import Role, Users, ensure_users
from tests.services import accepts, free_port, process, wait_until

ENDLESS = "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(sipHash64(number))"


@dataclass(frozen=True, slots=True)
class ClickHouseService:
    """A running endpoint."""

    data_dir: Path
    port: int
    users: Users
    running: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """Without user and password."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, role: Role) -> str:
        """What CLICKHOUSE_URL says: with user and password."""
        return f"http://{role.value}:{self.users.password(role)}@127.0.0.1:{self.port}"

    def post(
        self,
        sql: str,
        url: Mapping[str, str] | None = None,
        *,
        role: Role = Role.SINK,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send SQL in the body, or in the URL with data in the body; `url` are further parameters."""
        params = {**(url or {}), **({} if data is None else {"query": sql})}
        auth = (role.value, self.users.password(role))
        body = sql.encode() if data is None else data
        return requests.post(self.address, params=params, data=body, headers=headers, auth=auth, timeout=60)

    def value(self, sql: str, url: Mapping[str, str] | None = None, *, role: Role = Role.SINK) -> str:
        """The answer to a query that must succeed, without its line end."""
        response = self.post(sql, url, role=role)
        assert response.status_code == 200, response.text
        return response.text.rstrip("\n")

    def code(self, sql: str, url: Mapping[str, str] | None = None, *, role: Role = Role.SINK) -> int | None:
        """The number of the error that a query gets, None for none."""
        code = self.post(sql, url, role=role).headers.get("X-ClickHouse-Exception-Code")
        return None if code is None else int(code)


@contextmanager
def running_clickhouse(data_dir: Path, port: int = 0, **settings: str) -> Iterator[ClickHouseService]:
    """Start the endpoint on a data folder and wait until it answers; settings are CLICKHOUSE_LOCAL_<NAME>."""
    data_dir.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    env = {
        "CLICKHOUSE_LOCAL_PORT": str(port),
        "CLICKHOUSE_LOCAL_DATA_DIR": str(data_dir),
        **{f"CLICKHOUSE_LOCAL_{name.upper()}": value for name, value in settings.items()},
    }
    log = data_dir / "endpoint.out"
    with process([sys.executable, "-m", "deploy.local.clickhouse"], log, env) as running:
        wait_until(lambda: accepts(port) or running.poll() is not None, "the ClickHouse endpoint listens")
        if running.poll() is not None:
            raise RuntimeError(log.read_text("utf-8")[-2000:])
        yield ClickHouseService(data_dir, port, ensure_users(data_dir / "users.json"), running)


def resident_bytes(pid: int) -> int:
    """Memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
