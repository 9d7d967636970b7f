"""What the operating system lets the process have."""

import resource

from schemas.logs import get_logger
from schemas.settings import SettingsError

# For Kafka, accounts, listeners, logs, and connections that are told that there are too many.
RESERVED_FILES = 512

_log = get_logger(__name__)


def allow_connections(wanted: int) -> int:
    """Raise the process's limit of open files as far as it may go, and return how many connections that allows.

    Raises:
        SettingsError: where it allows none.
    """
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED_FILES
    if _unlimited(files) or files >= needed:
        return wanted
    files = needed if _unlimited(most) else min(needed, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    allowed = files - RESERVED_FILES
    if allowed < 1:
        raise SettingsError(f"This process may open {files} files only, and needs {needed}: raise `ulimit -Hn`.")
    if allowed < wanted:
        _log.warning("connections_limited", max_connections=allowed, remedy=f"raise `ulimit -Hn` to {needed}")
    return allowed


def _unlimited(files: int) -> bool:
    return files == resource.RLIM_INFINITY
