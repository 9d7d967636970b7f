"""Python clients that the examples need, each in an environment of its own: two versions of one cannot share ours."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "examples" / "python"
UV = str(Path(sys.executable).with_name("uv"))


def install(name: str) -> str:
    """Install what the lock of this name says, unless it is there; returns the interpreter that has it."""
    lock, folder = FOLDER / f"{name}.lock", FOLDER / f".venv-{name}"
    python, done = str(folder / "bin" / "python"), folder / "installed.lock"
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        _run([UV, "venv", "--quiet", "--clear", str(folder)])
        _run([UV, "pip", "install", "--quiet", "--python", python, "--require-hashes", "--requirement", str(lock)])
        done.write_bytes(lock.read_bytes())
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr}")
