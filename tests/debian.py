"""Packages of Debian that tests need; a machine where they cannot be installed is told what to install."""

import os
import shutil
import subprocess


def install(package: str) -> None:
    """Install a package, which only root can, where there is apt-get.

    Raises:
        RuntimeError: where that cannot be done, with what to do.
    """
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise RuntimeError(f"These tests need {package}: apt-get install {package}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    for attempt in (["apt-get", "update", "--quiet"], command):
        done = subprocess.run(attempt, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` failed, and these tests need it: {done.stderr}")
