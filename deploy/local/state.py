"""What a launcher leaves in its data folder: the lock, the state file, and secrets; all of mode 0600.

The state file is replaced as a whole at every change, so a reader sees one moment.  It outlives its launcher: the next
one finds in it what a launcher that was killed left running.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from deploy.local.options import Layout

ProcessState = Literal["starting", "running", "restarting", "stopped"]
# The kernel's own start times come with the clock's adjustments.
_SAME_START_SECONDS = 2.0


class Birth(msgspec.Struct, frozen=True):
    """One process of this machine for good: a pid alone is given again."""

    pid: int
    started_at: float

    def process(self) -> psutil.Process | None:
        """The process, while it lives."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < _SAME_START_SECONDS
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if same and alive else None


def birth_of(pid: int) -> Birth | None:
    """How to know this process again; None where it is gone already."""
    try:
        return Birth(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def memory_bytes(process: psutil.Process) -> int:
    """What is resident of it and of the processes that it started; 0 of those that end meanwhile."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total


class ProcessStatus(msgspec.Struct, frozen=True):
    """One of the supervised processes."""

    name: str
    state: ProcessState
    restarts: int
    address: str
    log: str
    birth: Birth | None = None


class Addresses(msgspec.Struct, frozen=True):
    """Where everything is, without credentials.

    Attributes:
        embedded: which of kafka, clickhouse and accounts are ours.
        console: empty where an older launcher wrote it, which started none.
    """

    api: str
    kafka: str
    clickhouse: str
    metrics: dict[str, str]
    embedded: frozenset[str]
    console: str = ""


class State(msgspec.Struct, frozen=True):
    """One launcher and its processes.

    Attributes:
        clickhouse_url: the analyst's way into ClickHouse, password included.
        ready: whether the first event was read back.
    """

    supervisor: Birth
    data_dir: str
    addresses: Addresses
    clickhouse_url: str
    ready: bool
    processes: list[ProcessStatus]

    @property
    def layout(self) -> Layout:
        """The files."""
        return Layout(Path(self.data_dir))

    def is_running(self) -> bool:
        """Whether the launcher that wrote this still lives."""
        return self.supervisor.process() is not None

    def living(self) -> list[ProcessStatus]:
        """The processes that live, whoever started them."""
        return [status for status in self.processes if status.birth and status.birth.process()]


def read_state(layout: Layout) -> State | None:
    """What the last launcher wrote; None where there was none, or another version wrote it."""
    try:
        return msgspec.json.decode(layout.state.read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_state(layout: Layout, state: State) -> None:
    """Replace the state file."""
    write_private(layout.state, msgspec.json.format(msgspec.json.encode(state), indent=2))


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one that only its owner may read."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


class Lock:
    """Says that a launcher works in this folder; the kernel takes it back from one that dies."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.lock
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take it; false where another launcher has it."""
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
