"""docs/receipts.md and `events where`, run as they stand, on a whole pipeline."""

import json
import os
import re
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.services import free_port, wait_until
from tests.stack import EVENTS, Stack

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "receipts.md").read_text("utf-8")
POST, WHERE, CURL = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
(SHOWN,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def run(command: list[str], stack: Stack, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a program from the top of the checkout, as the page has it."""
    env = {**os.environ, **stack.env, "EVENTS_DATA_DIR": str(stack.data_dir), **more}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)


def shape(printed: str) -> list[str]:
    """What is printed, without ids, times and numbers."""
    return [re.sub(r"[0-9a-f-]{36}|tok_\w+|[\dTZ:.-]{20,}|\d+", "?", line) for line in printed.splitlines()]


def test_page_when_its_examples_are_run(stack: Stack) -> None:
    """The event of the page is posted, comes to be stored as the page shows it, and the API says the same."""
    assert '"success":true' in run(["sh", "-euc", POST], stack).stdout
    wait_until(lambda: run(["sh", "-euc", WHERE], stack).returncode == 0, "the event is stored", 60, 1)

    shown = run(["sh", "-euc", WHERE], stack).stdout
    answered = json.loads(run(["sh", "-euc", CURL], stack).stdout)

    # Whoever has run it before has sent the event before.
    assert list(dict.fromkeys(shape(shown))) == shape(SHOWN)
    assert answered["state"] == "stored"
    assert answered["id"] in shown
    assert json.loads(run([str(EVENTS), "where", answered["id"], "--json"], stack).stdout) == answered


@pytest.mark.parametrize(
    ("arguments", "env", "exit_code", "said"),
    [
        ([str(uuid.uuid4())], {}, 4, "No event"),
        (["--sender-id", "nobody's"], {}, 4, "No event"),
        (["order-1001"], {}, 2, "sender_id"),
        ([], {}, 2, "--sender-id"),
        ([str(uuid.uuid4())], {"EVENTS_TOKEN": ""}, 2, "EVENTS_TOKEN"),
        ([str(uuid.uuid4())], {"EVENTS_TOKEN": "evt_nobodys"}, 2, "not known"),
        ([str(uuid.uuid4())], {"EVENTS_API_URL": f"http://127.0.0.1:{free_port()}"}, 5, "does not answer"),
    ],
)
def test_exit_code_when_there_is_no_receipt(
    stack: Stack, arguments: list[str], env: dict[str, str], exit_code: int, said: str
) -> None:
    """Each reason has its own exit code and its words on standard error; standard output stays empty."""
    done = run([str(EVENTS), "where", *arguments], stack, **env)

    assert (done.returncode, done.stdout) == (exit_code, "")
    assert said in done.stderr
    assert stack.env["EVENTS_TOKEN"] not in done.stderr


def test_help_when_asked(stack: Stack) -> None:
    """It begins with an example and lists the exit codes."""
    shown = run([str(EVENTS), "where", "--help"], stack).stdout

    assert "Example: events where" in shown
    assert "Exit codes" in shown
