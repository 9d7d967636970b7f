"""Settings of the endpoint: CLICKHOUSE_LOCAL_*, read once at start."""

from pathlib import Path

from pydantic import Field

from schemas.settings import Settings

MEBIBYTE = 1024 * 1024


class EndpointSettings(Settings):
    """Where it listens, where it keeps its data, and what bounds it."""

    clickhouse_local_host: str = Field(
        "127.0.0.1", description="address to bind; anything else is reachable from outside"
    )
    clickhouse_local_port: int = Field(8123, ge=1, le=65535, description="port of the HTTP interface")
    clickhouse_local_data_dir: Path = Field(Path(".events/clickhouse"), description="tables, configuration, users")
    clickhouse_local_users_file: Path | None = Field(
        None, description="passwords as JSON, mode 0600, made where missing; default: users.json in the data folder"
    )
    clickhouse_local_spool_dir: Path | None = Field(
        None, description="where bodies of inserts wait; default: /dev/shm where there is one, else the data folder"
    )
    clickhouse_local_max_running: int = Field(8, ge=1, le=64, description="queries that run at once")
    clickhouse_local_max_waiting: int = Field(200, ge=0, description="queries that wait for their turn; more get 202")
    clickhouse_local_max_sessions: int = Field(200, ge=1, description="sessions that are open at once")
    clickhouse_local_max_body_bytes: int = Field(1024 * MEBIBYTE, ge=MEBIBYTE, description="largest body, unpacked")
    clickhouse_local_max_memory_bytes: int = Field(
        1024 * MEBIBYTE, ge=256 * MEBIBYTE, description="memory that all queries together may take"
    )
    clickhouse_local_analyst_seconds: int = Field(
        60, ge=1, description="max_execution_time of an analyst's query that sets none; ten times as much is the most"
    )
    clickhouse_local_stop_seconds: float = Field(
        6.0, ge=0, le=60, description="what running queries get to finish after SIGTERM"
    )

    @property
    def users_file(self) -> Path:
        """Where the passwords are."""
        return self.clickhouse_local_users_file or self.clickhouse_local_data_dir / "users.json"

    @property
    def spool_root(self) -> Path:
        """The folder in which bodies of inserts wait: memory where the machine has a file system for it."""
        if self.clickhouse_local_spool_dir:
            return self.clickhouse_local_spool_dir
        memory = Path("/dev/shm")  # noqa: S108 - every file is made in a folder of mode 0700 of our own
        return memory if memory.is_dir() else self.clickhouse_local_data_dir / "spool"
