"""What the operating system lets the process have."""

import subprocess
import sys

import pytest

from ingress.connections import RESERVED_FILES

# In a process of its own: a limit that was lowered cannot be raised again.
SCRIPT = """
import resource, sys
from ingress.connections import allow_connections
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(allow_connections(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0], file=sys.stderr)
"""


def allowed(soft: int, hard: int, wanted: int) -> str:
    """The last thing that a process with these limits says, on standard error."""
    command = [sys.executable, "-c", SCRIPT, str(soft), str(hard), str(wanted)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return said.splitlines()[-1]


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "files"),
    [
        pytest.param(1000, 1000, 100, 1000, id="enough"),
        pytest.param(256, 1000, 100, RESERVED_FILES + 100, id="raised"),
        pytest.param(256, RESERVED_FILES + 7, 7, RESERVED_FILES + 7, id="raised as far as it goes"),
    ],
)
def test_connections_when_files_are_limited(soft: int, hard: int, connections: int, files: int) -> None:
    """The limit of open files is raised to what is needed, and no more connections are taken than it allows."""
    assert allowed(soft, hard, 100) == f"{connections} {files}"


def test_connections_when_files_are_too_few() -> None:
    """A limit that leaves no connection is an error that says what to do."""
    assert "ulimit -Hn" in allowed(256, RESERVED_FILES, 100)
