"""What `events up` was asked for, and where its files are."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one data folder."""

    data_dir: Path

    @property
    def state(self) -> Path:
        """What runs, with which pids, at which addresses; mode 0600."""
        return self.data_dir / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.data_dir / "lock"

    @property
    def token(self) -> Path:
        """The demo team's token; mode 0600."""
        return self.data_dir / "demo-token"

    @property
    def accounts(self) -> Path:
        """The accounts database, where no other is named."""
        return self.data_dir / "accounts.db"

    @property
    def kafka(self) -> Path:
        """The embedded Kafka's data."""
        return self.data_dir / "kafka"

    @property
    def clickhouse(self) -> Path:
        """The embedded ClickHouse's data."""
        return self.data_dir / "clickhouse"

    @property
    def clickhouse_users(self) -> Path:
        """The embedded ClickHouse's passwords; mode 0600."""
        return self.data_dir / "clickhouse" / "users.json"

    @property
    def logs(self) -> Path:
        """What the processes print."""
        return self.data_dir / "logs"

    def log(self, name: str) -> Path:
        """What one process prints."""
        return self.logs / f"{name}.log"

    def own_files(self) -> list[Path]:
        """All that `events up` makes here, and nothing that somebody else put beside it."""
        database = [self.accounts.with_name(self.accounts.name + end) for end in ("", "-wal", "-shm", "-journal")]
        return [self.kafka, self.clickhouse, self.logs, *database, self.token, self.state, self.lock]


class Options(msgspec.Struct, frozen=True):
    """The options of one start; the next one begins from the defaults again.

    Attributes:
        data_dir: as an absolute path.
        kafka_controller_port: where Kafka talks to itself; None for any free port.
        metrics_port: ingress, stream, sink and console take the four ports after it.
        partitions: of topics that do not exist yet.
    """

    data_dir: str
    api_port: int = 8080
    console_port: int = 8081
    clickhouse_port: int = 8123
    kafka_port: int = 9092
    kafka_controller_port: int | None = None
    metrics_port: int = 9100
    partitions: int = 4

    @property
    def layout(self) -> Layout:
        """The files."""
        return Layout(Path(self.data_dir))
