"""The launcher keeps processes alive and stops them: small programs in the place of ours, everything else as it is."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.errors import LaunchError
from deploy.local.options import Options
from deploy.local.orphans import stop_orphans
from deploy.local.plan import ProcessSpec, make_plan
from deploy.local.reports import Noted, Report, Reporter
from deploy.local.state import Birth, ProcessStatus, State, birth_of, read_state
from deploy.local.supervisor import Supervisor
from tests.services import accepts, eventually, free_port, wait_until

# Answers on its port; says when it is told to end, and ends unless it is stubborn.
PROGRAM = """
import http.server, os, signal, sys, time
port, stubborn = int(sys.argv[1]), len(sys.argv) > 2
def end(*_):
    print("told to end at", time.monotonic(), flush=True)
    stubborn or os._exit(0)
signal.signal(signal.SIGTERM, end)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


class Heard(Reporter):
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def report(self, report: Report) -> None:
        """Remember it."""
        self.reports.append(report)

    def notes(self) -> str:
        """All notes as one text."""
        return "\n".join(report.text for report in self.reports if isinstance(report, Noted))


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """A data folder."""
    (tmp_path / "logs").mkdir()
    return Options(data_dir=str(tmp_path))


@pytest.fixture
def heard() -> Heard:
    """What is reported."""
    return Heard()


@pytest.fixture
async def supervisor(options: Options, heard: Heard) -> AsyncIterator[Supervisor]:
    """A supervisor whose processes do not outlive the test."""
    supervisor = Supervisor(options.layout, make_plan(options, {}).addresses, heard)
    yield supervisor
    supervisor.kill()
    await supervisor.stop()


def spec(name: str, *arguments: str, program: str = PROGRAM, ready_seconds: float = 10) -> ProcessSpec:
    """A small program as a process of ours."""
    port = free_port()
    command = (sys.executable, "-c", program, str(port), *arguments)
    address = f"http://127.0.0.1:{port}"
    return ProcessSpec(name, command, {"PATH": os.environ["PATH"]}, address, f"{address}/readyz", "", ready_seconds)


def status(options: Options, name: str) -> ProcessStatus:
    """What the state file says of a process."""
    state = read_state(options.layout)
    assert state
    return next(process for process in state.processes if process.name == name)


async def test_process_when_killed(options: Options, supervisor: Supervisor, heard: Heard) -> None:
    """It is started again; how it ended and where its log is are said, and the state file follows."""
    await supervisor.start(spec("sink"))
    first = status(options, "sink")
    assert first.birth
    assert first.state == "running"

    os.kill(first.birth.pid, signal.SIGKILL)

    async def runs_again() -> bool:
        now = status(options, "sink")
        return now.restarts == 1 and now.state == "running"

    await eventually(runs_again, "the process runs again")
    assert status(options, "sink").birth != first.birth
    assert "sink ended (killed by SIGKILL)" in heard.notes()
    assert str(options.layout.log("sink")) in heard.notes()
    assert "sink runs again" in heard.notes()


async def test_start_when_the_process_keeps_dying(supervisor: Supervisor) -> None:
    """The start fails and shows the last lines of the log, which say why."""
    dying = spec("sink", program="raise SystemExit('SINK_MAX_BATCH_ROWS: must be a number')")

    with pytest.raises(LaunchError, match=r"exit code 1(?s:.)*SINK_MAX_BATCH_ROWS: must be a number"):
        await supervisor.start(dying)


async def test_start_when_the_process_never_answers(supervisor: Supervisor) -> None:
    """The start fails at its deadline."""
    silent = spec("sink", program="import signal; signal.pause()", ready_seconds=0.5)

    with pytest.raises(LaunchError, match="not ready"):
        await supervisor.start(silent)


async def test_stop_when_all_obey(options: Options, supervisor: Supervisor) -> None:
    """Nothing is told to end before what sends to it has ended."""
    names = ("kafka", "clickhouse", "ingress", "stream", "sink")
    await asyncio.gather(*(supervisor.start(spec(name)) for name in names))

    await supervisor.stop()

    told = {name: float(options.layout.log(name).read_text().removeprefix("told to end at ")) for name in names}
    assert sorted(names, key=told.__getitem__)[:3] == ["ingress", "stream", "sink"]
    assert all(status(options, name).state == "stopped" for name in names)


async def test_stop_when_one_is_stubborn(options: Options, supervisor: Supervisor, heard: Heard) -> None:
    """It is killed at its deadline, said so, and within ten seconds nothing is left."""
    await supervisor.start(spec("ingress", "stubborn"))
    birth = status(options, "ingress").birth
    assert birth

    async with asyncio.timeout(10):
        await supervisor.stop()

    assert birth.process() is None
    assert "ingress did not stop in time" in heard.notes()


def test_orphans_when_found_by_the_next_launcher(options: Options, heard: Heard) -> None:
    """What a killed launcher left running is stopped; a process that only has one of their pids is left alone."""
    left = spec("sink")
    with subprocess.Popen(left.command, stdout=subprocess.PIPE, text=True, start_new_session=True) as orphan:
        wait_until(lambda: accepts(int(left.command[-1])), "the orphan listens")
        gone = Birth(os.getpid(), 1.0)
        processes = [
            ProcessStatus("sink", "running", 0, "", "", birth_of(orphan.pid)),
            ProcessStatus("stream", "running", 0, "", "", gone),
        ]
        addresses = make_plan(options, {}).addresses
        last = State(gone, options.data_dir, addresses, "", ready=True, processes=processes)

        stop_orphans(last, heard)

        assert orphan.wait(0) is not None
        assert orphan.stdout
        assert "told to end" in orphan.stdout.read()
    assert heard.notes().endswith("left behind: sink")
