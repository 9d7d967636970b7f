"""The folder with the records that wait on disk while Kafka is away.  Everything here blocks.

<folder>/lock                      held by the one process that uses the folder
<folder>/spill.json                format, topic, and its number of partitions
<folder>/<partition>/<sequence>    frames, as `frames` has them; the file of the lowest number is the oldest
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ingress.lane_files import LaneFiles, Room, sync_folders
from schemas.logs import get_logger
from schemas.settings import SettingsError

FORMAT = 1

_log = get_logger(__name__)


class _Facts(msgspec.Struct, frozen=True):
    """What is remembered of the topic that the records are for."""

    format: int
    topic: str
    partitions: int


class Spill:
    """The folder with the records of all partitions of one process.

    Attributes:
        partitions: how many the topic has, as far as remembered; 0 where the folder was never used.
    """

    def __init__(self, folder: Path, topic: str, max_bytes: int) -> None:
        """Take the folder, which is made where it is not there.

        Raises:
            SettingsError: where it cannot be used, or another process uses it.
        """
        self._folder = folder
        self._topic = topic
        self._room = Room(max_bytes)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(folder)
            self.partitions = self._remembered()
            numbers = {int(path.name) for path in folder.iterdir() if path.name.isdigit()}
            self._lanes = {number: LaneFiles(folder / f"{number}", self._room) for number in numbers}
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise _unusable(folder, f"{reason}; it must be a folder that this process may write to") from error

    @property
    def bytes(self) -> int:
        """What the folder holds, set aside or not."""
        return self._room.taken_bytes

    @property
    def records(self) -> int:
        """How many records wait in it."""
        return sum(lane.records for lane in self._lanes.values())

    def lane(self, partition: int) -> LaneFiles:
        """The files of one partition."""
        if partition not in self._lanes:
            self._lanes[partition] = LaneFiles(self._folder / f"{partition}", self._room)
        return self._lanes[partition]

    def held(self) -> Iterable[int]:
        """The partitions that have records."""
        return [number for number, lane in self._lanes.items() if lane]

    def remember(self, partitions: int) -> None:
        """Know next time how many partitions the topic has; where the disk fails now, the next start asks Kafka."""
        if partitions == self.partitions:
            return
        facts = msgspec.json.encode(_Facts(FORMAT, self._topic, partitions))
        new = self._folder / "spill.new"
        try:
            with open(new, "wb", opener=_private) as file:
                file.write(facts)
                file.flush()
                os.fsync(file.fileno())
            new.rename(self._folder / "spill.json")
            sync_folders(self._folder)
        except OSError as error:
            _log.error("partitions_not_remembered", reason=error.strerror)
            return
        self.partitions = partitions

    def close(self) -> None:
        """Leave the folder to others."""
        for lane in self._lanes.values():
            lane.close()
        os.close(self._lock)

    def _remembered(self) -> int:
        file = self._folder / "spill.json"
        if not file.exists():
            return 0
        facts = msgspec.json.decode(file.read_bytes(), type=_Facts)
        if (facts.format, facts.topic) != (FORMAT, self._topic):
            raise _unusable(
                self._folder, f"it holds format {facts.format} for the topic {facts.topic}: choose another folder"
            )
        return facts.partitions


def worker_folder(folder: Path, worker: int) -> Path:
    """Where one of several workers, from 1 on, keeps its records; a process alone, worker 0, has all of the folder."""
    return folder / f"worker-{worker}" if worker else folder


def stranded_folders(folder: Path, workers: int) -> list[Path]:
    """Where records lie that none of so many workers drains: there were more of them, or other ones, before."""
    used = {worker_folder(folder, number) for number in (range(1, workers + 1) if workers > 1 else [0])}
    known = [folder, *folder.glob("worker-*")]
    return [path for path in known if path not in used and any(path.glob("[0-9]*/[0-9]*"))]


def holds_records(folder: Path) -> bool:
    """Whether records wait in the folder, whichever worker's they are."""
    return any(any(path.glob("[0-9]*/[0-9]*")) for path in (folder, *folder.glob("worker-*")))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise _unusable(folder, "another process uses it; each needs a folder of its own") from error
    return descriptor


def _unusable(folder: Path, reason: str) -> SettingsError:
    return SettingsError(f"INGRESS_SPILL_DIR: {folder} cannot be used: {reason}.")
