"""The pipe through which a result leaves ClickHouse."""

import asyncio
import os
import threading
from pathlib import Path

import uvloop

from deploy.local.clickhouse.pipe import ResultPipe

PIPES = 3_000


async def _pipes() -> int:
    """Open, fill, read and close many pipes; how many descriptors that leaves open."""
    before = _open_descriptors()
    for _ in range(PIPES):
        pipe = await ResultPipe.open()
        pipe.written()
        assert await pipe.head(1) == (b"", True)
        pipe.close()
    await asyncio.sleep(0)
    return _open_descriptors() - before


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_descriptors_when_pipes_are_closed(tmp_path: Path) -> None:
    """Closing a pipe closes nothing that another thread has opened (a table's file), and leaves nothing open."""
    stolen: list[OSError] = []
    done = threading.Event()

    def write_files() -> None:
        while not done.is_set():
            descriptor = os.open(tmp_path / "data.cmrk4", os.O_CREAT | os.O_WRONLY)
            try:
                os.write(descriptor, b"marks")
                os.close(descriptor)
            except OSError as error:
                stolen.append(error)

    writer = threading.Thread(target=write_files)
    writer.start()
    try:
        left = uvloop.run(_pipes())
    finally:
        done.set()
        writer.join()

    assert stolen == []
    assert left < PIPES // 100
