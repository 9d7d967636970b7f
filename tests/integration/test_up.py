"""`events up` as its user meets it: started once on free ports, killed at every joint, stopped, and started again."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.services import wait_until
from tests.stack import EVENTS, Stack, attached, free_ports, running_stack

NAMES = ["kafka", "clickhouse", "ingress", "stream", "sink", "console"]
QUERY = "SELECT event_id FROM demo.events WHERE event = {name:String} FORMAT TSV"
CURL = """curl -sS "$EVENTS_API_URL/v1/event" -H "X-Auth-Token: $EVENTS_TOKEN" -H "Content-Type: application/json" \\
    -d '{"version": 1, "type": "event", "event": "Posted by curl"}' """


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder; its name needs quoting."""
    return tmp_path_factory.mktemp("up") / "it's data"


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Stack]:
    """A running pipeline of this module's own: its tests kill parts of it."""
    with running_stack(folder) as stack:
        yield stack


def events(*arguments: str, stack: Stack | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command, for a stack's data folder where one is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EVENTS_", "KAFKA_", "CLICKH"))}
    if stack:
        env = {"EVENTS_DATA_DIR": str(stack.data_dir), **env}
    return subprocess.run(
        [EVENTS, *arguments], capture_output=True, text=True, check=False, timeout=60, env=clean | env
    )


def in_shell(stack: Stack, script: str) -> str:
    """Run a script in a shell that has evaluated `events env`."""
    evaluated = f'eval "$({shlex.quote(str(EVENTS))} env --data-dir {shlex.quote(str(stack.data_dir))})"\n{script}'
    done = subprocess.run(["sh", "-euc", evaluated], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def post(stack: Stack, name: str) -> str:
    """The id of an event that was accepted; empty where it was not."""
    event = {"version": 1, "type": "event", "event": name}
    try:
        answer = requests.post(
            stack.env["EVENTS_API_URL"] + "/v1/event",
            json=event,
            headers={"X-Auth-Token": stack.env["EVENTS_TOKEN"]},
            timeout=15,
        )
    except requests.ConnectionError:
        return ""
    return str(answer.json()["id"]) if answer.ok else ""


def rows(stack: Stack, name: str) -> list[str]:
    """The ids of all rows of an event name, as the analyst reads them; none while ClickHouse is away."""
    try:
        answer = requests.post(stack.env["CLICKHOUSE_URL"], params={"param_name": name}, data=QUERY, timeout=15)
    except requests.ConnectionError:
        return []
    return answer.text.split() if answer.ok else []


def processes(stack: Stack) -> dict[str, dict[str, Any]]:
    """Each process's status by its name."""
    return {process["name"]: process for process in stack.status()}


def test_status_when_up(up: Stack) -> None:
    """All six run, each with its own pid, and the addresses are told."""
    document = json.loads(events("status", "--json", stack=up).stdout)

    assert [process["name"] for process in document["processes"]] == NAMES
    assert {process["state"] for process in document["processes"]} == {"running"}
    assert len({process["pid"] for process in document["processes"]}) == len(NAMES)
    assert document["ready"]
    assert document["addresses"]["api"] == up.env["EVENTS_API_URL"]
    assert document["addresses"]["console"] == up.env["CONSOLE_URL"]
    assert "analyst" not in json.dumps(document)


def test_memory_when_up(up: Stack) -> None:
    """All of it takes less than 2 GB."""
    assert sum(process["memory_bytes"] for process in up.status()) < 2_000_000_000


def test_env_when_evaluated(up: Stack) -> None:
    """In a shell that has evaluated it, curl posts an event and reads it back."""
    answer = json.loads(in_shell(up, CURL))
    assert answer["success"]

    wait_until(lambda: rows(up, "Posted by curl") == [answer["id"]], "the event is there")
    query = "SELECT event FROM demo.events WHERE event_id = "
    assert in_shell(up, f"""curl -sS "$CLICKHOUSE_URL" -d "{query}'{answer["id"]}'" """) == "Posted by curl\n"


def test_secrets_when_up(up: Stack) -> None:
    """The token is private, and neither it nor a password is in a log or on a command line."""
    token_file = up.data_dir / "demo-token"
    password = up.env["CLICKHOUSE_URL"].split(":")[2].split("@")[0]
    commands = " ".join(" ".join(psutil.Process(process["pid"]).cmdline()) for process in up.status())
    logs = "".join(path.read_text() for path in (up.data_dir / "logs").iterdir())

    assert token_file.read_text() == up.env["EVENTS_TOKEN"]
    assert token_file.stat().st_mode & 0o777 == 0o600
    for secret in (up.env["EVENTS_TOKEN"], password):
        assert secret not in commands + logs


def test_first_user_when_up(up: Stack) -> None:
    """What is printed on a terminal, and by `events user setup`, leads to the console's page; a log has neither."""
    there, terminal = os.openpty()
    script = "import sys; from pathlib import Path; from deploy.local.options import Layout as layout; "
    script += "from deploy.local.welcome import welcome; welcome(layout(Path(sys.argv[1])), detached=True)"
    subprocess.run([sys.executable, "-c", script, up.data_dir], stdout=terminal, check=True, timeout=30)
    os.close(terminal)
    printed = os.read(there, 65_536).decode()
    os.close(there)
    (first,) = re.findall(r"^Console +(\S+)   \(once; opens your Owner account for team demo\)", printed, re.MULTILINE)
    assert first.startswith(up.env["CONSOLE_URL"] + "/setup/")
    assert requests.get(first, timeout=15).status_code == 200

    second = events("user", "setup", stack=up, CONSOLE_URL=up.env["CONSOLE_URL"]).stdout.strip()

    assert requests.get(second, timeout=15).status_code == 200
    assert requests.get(first, timeout=15).status_code == 404
    logs = "".join(path.read_text() for path in (up.data_dir / "logs").iterdir())
    assert not [link for link in (first, second) if link.rpartition("/")[2] in logs]


def test_up_when_it_runs_already(up: Stack) -> None:
    """A second one says where the first one is and leaves it alone, even in a shell that evaluated `events env`."""
    done = events("up", stack=up, **up.env)

    assert done.returncode == 6
    assert up.env["EVENTS_API_URL"] in done.stderr


def test_up_when_ports_are_taken(up: Stack, tmp_path: Path) -> None:
    """The error names the port, the option that moves it, and who has it."""
    port = up.env["EVENTS_API_URL"].rpartition(":")[2]

    done = events("up", "--data-dir", str(tmp_path), *free_ports(), "--api-port", port)

    assert done.returncode == 7
    assert f"port {port} (ingress) is taken by process {up.pid('ingress')}" in done.stderr
    assert "--api-port" in done.stderr


@pytest.mark.parametrize("name", [*NAMES[2:], *NAMES[:2]])
def test_process_when_killed(up: Stack, name: str) -> None:
    """It is started again; events accepted before, meanwhile and after are all there, each once."""
    before = processes(up)[name]
    event = f"Killed {name}"
    accepted = [event_id for _ in range(5) if (event_id := post(up, event))]
    assert len(accepted) == 5

    os.kill(before["pid"], signal.SIGKILL)

    def healed() -> bool:
        now = processes(up)[name]
        return (now["state"], now["restarts"]) == ("running", before["restarts"] + 1) and now["pid"] != before["pid"]

    accepted += filter(None, [post(up, event)])
    wait_until(healed, f"{name} runs again")
    accepted.append(wait_until(lambda: post(up, event), "an event is accepted"))
    wait_until(lambda: set(accepted) <= set(rows(up, event)), "all accepted events are there", 60)
    assert len(rows(up, event)) == len(set(rows(up, event)))


def test_down_and_up_when_data_is_there(up: Stack) -> None:
    """All is stopped within ten seconds and nothing is left; the next start finds data, token and passwords."""
    event_id = post(up, "Kept")
    assert event_id
    left = [psutil.Process(process["pid"]) for process in up.status()]
    token, ports = up.env["EVENTS_TOKEN"], {process["name"]: process["address"] for process in up.status()}
    began = time.monotonic()

    assert events("down", stack=up).returncode == 0

    assert time.monotonic() - began < 10
    assert not any(process.is_running() for process in left)
    assert events("status", stack=up).returncode == 3
    assert events("env", stack=up).returncode == 3
    assert events("up", "--detach", *free_ports(), stack=up, **up.env).returncode == 0
    assert processes(up)["kafka"]["address"] != ports["kafka"]
    again = attached(up.data_dir)
    assert again.env["EVENTS_TOKEN"] == token
    wait_until(lambda: rows(again, "Kept") == [event_id], "what was accepted before the stop is there")


def test_up_when_its_launcher_was_killed(up: Stack) -> None:
    """The next start stops what the launcher left behind, says so, and finds all data."""
    document = json.loads(events("status", "--json", stack=up).stdout)
    left = [psutil.Process(process["pid"]) for process in document["processes"]]
    assert document["running"]
    psutil.Process(document["pid"]).kill()
    assert events("status", stack=up).returncode == 3
    same = [
        f"--{name}-port={document['addresses'][name].rpartition(':')[2]}"
        for name in ("api", "clickhouse", "kafka", "console")
    ]

    done = events("up", "--detach", *free_ports(), *same, stack=up)

    assert done.returncode == 0, done.stderr
    assert "left behind: kafka, clickhouse, ingress, stream, sink, console" in done.stderr
    assert not any(process.is_running() for process in left)
    assert len(rows(attached(up.data_dir), "Kept")) == 1
