"""The code blocks of the docs, which tests run as they stand."""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.stack import Stack

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """One code block."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """All of a page, whose path is from the top of the checkout."""
    return [Block(*found) for found in _FENCE.findall((ROOT / page).read_text("utf-8"))]


def block(page: str, language: str, containing: str) -> str:
    """The one code block of this language that holds these words."""
    (found,) = [block.text for block in blocks(page) if block.language == language and containing in block.text]
    return found


def run(command: list[str], stack: Stack, cwd: Path = ROOT, **more: str) -> str:
    """Run a program as the docs have it, the pipeline's addresses in its environment; what it prints."""
    env = {**os.environ, **stack.env, "EVENTS_DATA_DIR": str(stack.data_dir), **more}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
