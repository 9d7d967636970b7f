"""One partition's records on disk, in files that are read, sent and deleted as a whole.  Everything here blocks.

Invariant: what `append` returned from is in a file, synced, until `delete`.
"""

import os
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ingress.envelope import RawRecord
from ingress.frames import Ending, count, decode, encode
from schemas.errors import Unavailable
from schemas.logs import get_logger

FILE_BYTES = 1 << 20
"""A file that has so many takes no more frames."""
DAMAGED_SUFFIX = ".damaged"

_log = get_logger(__name__)


class Room:
    """How much the whole spill may hold; lanes take it from several threads.

    Attributes:
        taken_bytes: what it holds.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self.taken_bytes = 0

    def take(self, size: int, *, always: bool = False) -> None:
        """Take so many bytes; `always`: what is there already.

        Raises:
            Unavailable: where there is not so much left.
        """
        with self._lock:
            if self.taken_bytes + size > self._max_bytes and not always:
                raise Unavailable(f"the spill holds all of its {self._max_bytes} bytes (INGRESS_SPILL_MAX_BYTES)")
            self.taken_bytes += size

    def give_back(self, size: int) -> None:
        """Have so many bytes free again."""
        with self._lock:
            self.taken_bytes -= size


class SpillFile:
    """Frames that are sent and deleted together."""

    def __init__(self, path: Path, size: int = 0, records: int = 0) -> None:
        self.path = path
        self.size = size
        self.records = records


class LaneFiles:
    """One partition's files.  All calls block, and are made one after the other, from whatever thread.

    Attributes:
        records: how many are in the files.
    """

    def __init__(self, folder: Path, room: Room) -> None:
        self._folder = folder
        self._room = room
        self._files: deque[SpillFile] = deque()
        self._open: tuple[SpillFile, int] | None = None
        self._next = 0
        self.records = 0
        if folder.exists():
            self._find()

    def __len__(self) -> int:
        return len(self._files)

    @property
    def oldest(self) -> SpillFile | None:
        """The file that comes first."""
        return self._files[0] if self._files else None

    def append(self, records: Sequence[RawRecord], *, alone: bool = False) -> SpillFile:
        """Put records behind all others, on disk for good; `alone`: in a file with nothing else.

        Raises:
            Unavailable: where there is no room, or the disk fails; what was in the files is there unharmed.
        """
        frame = encode(records)
        self._room.take(len(frame))
        try:
            if alone:
                self._seal()
            file, descriptor = self._open or self._create()
            self._write(file, descriptor, frame)
        except OSError as error:
            # Whatever is there of the frame ends its file, so that nothing acknowledged comes to lie behind it.
            self._seal()
            self._room.give_back(len(frame))
            raise Unavailable(f"{self._folder}: {error.strerror or error}") from error
        file.size += len(frame)
        file.records += len(records)
        self.records += len(records)
        if alone or file.size >= FILE_BYTES:
            self._seal()
        return file

    def read(self, file: SpillFile) -> tuple[list[RawRecord], Ending]:
        """What can be read of a file, which takes no more from now on."""
        if self._open and self._open[0] is file:
            self._seal()
        try:
            return decode(file.path.read_bytes())
        except OSError as error:
            _log.error("spill_not_readable", file=str(file.path), reason=error.strerror)
            return [], Ending.DAMAGED

    def delete(self, file: SpillFile, ending: Ending = Ending.WHOLE) -> None:
        """Have done with a file: it is deleted, or, where it is damaged, set aside for a human."""
        self._files.remove(file)
        self.records -= file.records
        try:
            if ending is Ending.DAMAGED:
                aside = file.path.rename(file.path.with_name(file.path.name + DAMAGED_SUFFIX))
                _log.error("spill_file_damaged", file=str(aside))
                return
            if ending is Ending.TORN:
                _log.warning("spill_file_torn", file=str(file.path))
            file.path.unlink()
        except OSError as error:
            # It is sent again after the next start.
            _log.error("spill_file_not_deleted", file=str(file.path), reason=error.strerror)
            return
        self._room.give_back(file.size)

    def close(self) -> None:
        """Leave the files."""
        self._seal()

    def _find(self) -> None:
        for path in sorted(self._folder.iterdir()):
            size = path.stat().st_size
            self._room.take(size, always=True)
            sequence = path.name.removesuffix(DAMAGED_SUFFIX)
            if sequence.isdigit():
                self._next = max(self._next, int(sequence) + 1)
            if path.name.isdigit():
                file = SpillFile(path, size, count(path.read_bytes()))
                self._files.append(file)
                self.records += file.records

    def _create(self) -> tuple[SpillFile, int]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{self._next:012d}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._next += 1
        self._open = SpillFile(path), descriptor
        self._files.append(self._open[0])
        sync_folders(self._folder, self._folder.parent)
        return self._open

    def _write(self, file: SpillFile, descriptor: int, frame: bytes) -> None:
        try:
            rest = memoryview(frame)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, file.size)
            raise

    def _seal(self) -> None:
        """Take no more into the open file; one without frames is of no use."""
        if self._open is None:
            return
        (file, descriptor), self._open = self._open, None
        os.close(descriptor)
        if not file.size:
            self._files.remove(file)
            with suppress(OSError):
                file.path.unlink()


def sync_folders(*folders: Path) -> None:
    """New names in these folders survive a loss of power."""
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
