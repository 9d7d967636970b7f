"""What a launcher leaves in its data folder."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from deploy.local.exports import exports, script
from deploy.local.logs import MOST_BYTES, LogFile
from deploy.local.options import Layout, Options
from deploy.local.plan import make_plan
from deploy.local.state import (
    Birth,
    Lock,
    ProcessStatus,
    State,
    birth_of,
    memory_bytes,
    read_state,
    write_private,
    write_state,
)


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A launcher, this process, with one process."""
    addresses = make_plan(Options(data_dir=str(tmp_path)), {}).addresses
    me = birth_of(os.getpid())
    assert me
    sink = ProcessStatus("sink", "running", 1, "http://127.0.0.1:9103", "sink.log", me)
    return State(
        me, str(tmp_path), addresses, "http://analyst:it's a $ecret@127.0.0.1:8123", ready=True, processes=[sink]
    )


def test_state_when_read_back(state: State) -> None:
    """It is read as it was written, by its owner alone."""
    write_state(state.layout, state)

    assert read_state(state.layout) == state
    assert state.layout.state.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in state.layout.data_dir.iterdir()] == ["state.json"]


def test_memory_when_a_process_has_workers() -> None:
    """What a process started counts as its own."""
    script = "kept = bytearray(200 << 20); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout
        worker.stdout.readline()

        memory = memory_bytes(psutil.Process())

        worker.kill()
    assert memory - psutil.Process().memory_info().rss > 150 << 20


def test_state_when_there_is_none_to_read(tmp_path: Path) -> None:
    """A file of another version counts as none."""
    layout = Layout(tmp_path)
    assert read_state(layout) is None
    layout.state.write_text('{"pid": 1}')
    assert read_state(layout) is None


def test_process_when_its_pid_was_given_again(state: State) -> None:
    """A process is known by its start time too: another one with its pid is not it."""
    later = Birth(state.supervisor.pid, state.supervisor.started_at - 3600)

    assert state.is_running()
    assert state.living()
    assert not msgspec.structs.replace(state, supervisor=later).is_running()


def test_lock_when_taken_twice(tmp_path: Path) -> None:
    """Only one launcher works in a folder; the next one may when it has gone."""
    first, second = Lock(Layout(tmp_path)), Lock(Layout(tmp_path))

    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


def test_secret_when_replaced(tmp_path: Path) -> None:
    """A secret's file is private even where an open one was there before."""
    path = tmp_path / "demo-token"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, b"new")

    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_exports_when_evaluated_by_a_shell(state: State) -> None:
    """A shell gets each value as it is, whatever characters it has."""
    write_private(state.layout.token, b"evt_abc")
    variables = exports(state, state.layout)

    shell = subprocess.run(
        ["sh", "-euc", f'{script(variables)}\nprintf "%s\\n" "$EVENTS_TOKEN" "$CLICKHOUSE_URL" "$EVENTS_API_URL"'],
        capture_output=True,
        text=True,
        check=True,
    )

    assert shell.stdout.splitlines() == ["evt_abc", state.clickhouse_url, "http://127.0.0.1:8080"]


def test_log_when_it_grows_large(tmp_path: Path) -> None:
    """A log is cut under the process that writes it, which goes on writing; the older part is kept once."""
    log = LogFile(tmp_path / "sink.log")
    with os.fdopen(log.open(), "ab", buffering=0) as process:
        process.write(b"x" * MOST_BYTES + b"old\n")
        log.bound()
        process.write(b"one\ntwo\n")

    assert log.path.read_text() == "one\ntwo\n"
    assert log.tail(1) == ["two"]
    assert (tmp_path / "sink.log.1").read_text().endswith("old\n")
