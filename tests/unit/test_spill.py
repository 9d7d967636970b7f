"""Records on disk: what was appended is there after a crash, in order, within bounds, and nobody else's business."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.envelope import RawRecord
from ingress.frames import Ending, count, decode, encode
from ingress.lane_files import DAMAGED_SUFFIX, LaneFiles
from ingress.spill import Spill, stranded_folders, worker_folder
from schemas.errors import Unavailable
from schemas.settings import SettingsError

TOPIC = "events.raw"
MAX_BYTES = 1 << 20
texts = st.text(max_size=20)
records = st.builds(
    RawRecord, texts, st.binary(max_size=20), st.binary(max_size=50), st.lists(st.tuples(texts, st.binary(max_size=9)))
)
frames = st.lists(st.lists(records, min_size=1, max_size=3), max_size=4)


def record(number: int, size: int = 10) -> RawRecord:
    """A record that is told from others by its id."""
    return RawRecord(f"e{number}", b"acme/u1", b"x" * size, [("event_id", b"e%d" % number)])


def drained(files: LaneFiles) -> list[str]:
    """The ids of all records, oldest first; nothing is left."""
    ids = []
    while file := files.oldest:
        found, ending = files.read(file)
        ids += [record.event_id for record in found]
        files.delete(file, ending)
    return ids


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "data" / "spill"


@pytest.fixture
def spill(folder: Path) -> Iterator[Spill]:
    """The spill in it."""
    spill = Spill(folder, TOPIC, MAX_BYTES)
    yield spill
    spill.close()


def killed(spill: Spill, folder: Path, max_bytes: int = MAX_BYTES) -> Spill:
    """What a successor finds: the files as they are, and a lock that nobody holds."""
    os.close(spill._lock)
    successor = Spill(folder, TOPIC, max_bytes)
    spill._lock = os.dup(successor._lock)
    return successor


@given(frames)
def test_records_when_decoded(lists: list[list[RawRecord]]) -> None:
    """Frames decode to their records, whole, and their heads tell how many."""
    file = b"".join(map(encode, lists))

    assert decode(file) == ([record for several in lists for record in several], Ending.WHOLE)
    assert count(file) == sum(map(len, lists))


@given(frames.filter(bool), st.data())
def test_records_when_the_end_is_torn(lists: list[list[RawRecord]], chance: st.DataObject) -> None:
    """A file that is cut anywhere decodes to the frames before the cut, and is never called damaged."""
    *whole, last = map(encode, lists)
    cut = chance.draw(st.integers(1, len(last) - 1))

    found, ending = decode(b"".join(whole) + last[:cut])

    assert (found, ending) == ([record for several in lists[:-1] for record in several], Ending.TORN)
    assert count(b"".join(whole) + last[:cut]) == len(found)


@given(frames.filter(bool), st.data())
def test_records_when_a_bit_is_flipped(lists: list[list[RawRecord]], chance: st.DataObject) -> None:
    """A flipped bit is damage, wherever it is, and not a torn end, which is thrown away; what is before it is read."""
    file = bytearray(b"".join(map(encode, lists)))
    at = chance.draw(st.integers(0, len(file) - 1))
    file[at] ^= 1 << chance.draw(st.integers(0, 7))

    found, ending = decode(bytes(file))

    assert ending is Ending.DAMAGED
    assert found == [record for several in lists for record in several][: len(found)]


def test_records_when_the_process_was_killed(spill: Spill, folder: Path) -> None:
    """What was appended is there for the successor, in order, by partition; new records come behind it."""
    for number in range(5):
        spill.lane(0).append([record(number)])
    spill.lane(3).append([record(7)])

    successor = killed(spill, folder)
    successor.lane(0).append([record(5)])

    assert successor.records == 7
    assert sorted(successor.held()) == [0, 3]
    assert drained(successor.lane(0)) == ["e0", "e1", "e2", "e3", "e4", "e5"]
    assert drained(successor.lane(3)) == ["e7"]
    assert successor.bytes == successor.records == 0


def test_records_when_the_last_write_is_torn(spill: Spill, folder: Path) -> None:
    """The end of a file that a killed process left is dropped; everything before and after it is there."""
    lane = spill.lane(0)
    file = lane.append([record(0)])
    with file.path.open("ab") as torn:
        torn.write(encode([record(1)])[:-1])

    successor = killed(spill, folder)
    successor.lane(0).append([record(2)])

    assert drained(successor.lane(0)) == ["e0", "e2"]
    assert not list((folder / "0").iterdir())


def test_file_when_it_is_damaged(spill: Spill, folder: Path) -> None:
    """What can be read of it is; then it is set aside, not deleted, and what comes behind it goes on."""
    lane = spill.lane(0)
    lane.append([record(0)])
    damaged = lane.append([record(1)])
    lane.append([record(2)], alone=True)
    content = bytearray(damaged.path.read_bytes())
    content[-1] ^= 1
    damaged.path.write_bytes(content)

    assert drained(lane) == ["e0", "e2"]
    (aside,) = (folder / "0").iterdir()
    assert aside.name == damaged.path.name + DAMAGED_SUFFIX
    assert aside.read_bytes() == content
    assert not killed(spill, folder).lane(0)


def test_append_when_there_is_no_room(folder: Path) -> None:
    """The bound is of all partitions together; it is never passed, and what is sent makes room again."""
    spill = Spill(folder, TOPIC, 2000)
    spill.lane(0).append([record(0, 900)])
    spill.lane(1).append([record(1, 500)])

    with pytest.raises(Unavailable, match="INGRESS_SPILL_MAX_BYTES"):
        spill.lane(1).append([record(2, 500)])

    on_disk = sum(file.stat().st_size for lane in ("0", "1") for file in (folder / lane).iterdir())
    assert on_disk == spill.bytes <= 2000
    assert drained(spill.lane(0)) == ["e0"]
    spill.lane(1).append([record(3, 500)])
    assert drained(spill.lane(1)) == ["e1", "e3"]
    spill.close()


def test_append_when_the_disk_fails(spill: Spill, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a write, or one that is not synced, is not acknowledged and harms nothing; the next one is taken again."""
    lane, write, fsync = spill.lane(0), os.write, os.fsync
    lane.append([record(0)])

    def half(descriptor: int, rest: memoryview) -> int:
        monkeypatch.setattr(os, "write", full)
        return write(descriptor, rest[: len(rest) // 2])

    def full(_descriptor: int, _rest: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for call, failing in (("write", half), ("write", full), ("fsync", broken)):
        monkeypatch.setattr(os, call, failing)
        with pytest.raises(Unavailable):
            lane.append([record(1)])
        monkeypatch.setattr(os, "write", write)
        monkeypatch.setattr(os, "fsync", fsync)
        lane.append([record(2)])

    assert killed(spill, folder).lane(0).records == 4
    assert drained(lane) == ["e0", "e2", "e2", "e2"]
    assert spill.bytes == 0


def test_append_when_half_a_write_cannot_be_taken_back(spill: Spill, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing acknowledged comes to lie behind it: the next append goes into another file, and all is readable."""
    lane, write = spill.lane(0), os.write
    lane.append([record(0)])

    def half(descriptor: int, rest: memoryview) -> int:
        monkeypatch.setattr(os, "write", broken)
        return write(descriptor, rest[: len(rest) // 2])

    def broken(*_arguments: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(os, "ftruncate", broken)
        monkeypatch.setattr(os, "write", half)
        with pytest.raises(Unavailable):
            lane.append([record(1)])
    monkeypatch.setattr(os, "write", write)
    lane.append([record(2)])

    assert drained(lane) == ["e0", "e2"]


def test_files_when_read(spill: Spill, folder: Path) -> None:
    """Only their owner may read them."""
    spill.remember(4)
    spill.lane(0).append([record(0)])

    paths = [folder, *folder.rglob("*")]
    assert len(paths) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}


def test_partitions_when_remembered(spill: Spill, folder: Path) -> None:
    """Their number is there after a restart, also when it has changed."""
    assert spill.partitions == 0
    spill.remember(4)
    spill.remember(8)

    assert killed(spill, folder).partitions == 8


@pytest.mark.usefixtures("spill")
def test_folder_when_another_process_uses_it(folder: Path) -> None:
    """It is refused, with the setting's name and what to do."""
    with pytest.raises(SettingsError, match=r"INGRESS_SPILL_DIR: .* another process uses it; each needs a folder"):
        Spill(folder, TOPIC, MAX_BYTES)


def test_folder_when_it_is_of_another_topic(spill: Spill, folder: Path) -> None:
    """Its records would go where they do not belong: it is refused."""
    spill.remember(4)
    spill.close()

    with pytest.raises(SettingsError, match=r"for the topic events\.raw: choose another folder"):
        Spill(folder, "other", MAX_BYTES)
    spill._lock = os.open(os.devnull, os.O_RDONLY)


def test_folder_when_it_cannot_be_made(tmp_path: Path) -> None:
    """It is refused, with the setting's name and the reason."""
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=r"INGRESS_SPILL_DIR: .*/file/spill cannot be used: Not a directory"):
        Spill(tmp_path / "file" / "spill", TOPIC, MAX_BYTES)


@pytest.mark.parametrize(
    ("workers", "stranded"),
    [(1, ["worker-1", "worker-3"]), (2, [".", "worker-3"]), (3, ["."])],
)
def test_folders_when_there_are_other_workers_than_before(tmp_path: Path, workers: int, stranded: list[str]) -> None:
    """Records that none of the workers would drain are found; folders without any are no matter."""
    for folder in (worker_folder(tmp_path, 0), worker_folder(tmp_path, 1), worker_folder(tmp_path, 3)):
        (folder / "0").mkdir(parents=True)
        (folder / "0" / "000001").touch()
    (worker_folder(tmp_path, 9) / "0").mkdir(parents=True)

    found = stranded_folders(tmp_path, workers)

    assert sorted(str(path.relative_to(tmp_path)) for path in found) == stranded
