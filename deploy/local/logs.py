"""The log file of one process: appended to by the process itself, kept within bounds from outside."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 10 << 20
_TAIL_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class LogFile:
    """NAME.log, and NAME.log.1 with what was before it."""

    path: Path

    def open(self) -> int:
        """A descriptor for the process to write to; it appends, so that the file may be cut under it."""
        return os.open(self.path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

    def begin(self) -> None:
        """Put away what the last start wrote."""
        if self.path.exists() and self.path.stat().st_size:
            self.path.replace(self._older)

    def bound(self) -> None:
        """Put away the file of a running process once it is large; a line written meanwhile may be lost."""
        if self.path.exists() and self.path.stat().st_size > MOST_BYTES:
            shutil.copyfile(self.path, self._older)
            self._older.chmod(0o600)
            os.truncate(self.path, 0)

    def tail(self, lines: int) -> list[str]:
        """The last lines."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return file.read().decode("utf-8", "replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []

    @property
    def _older(self) -> Path:
        return self.path.with_name(self.path.name + ".1")
