"""A result on its way out of ClickHouse: a pipe, so that it streams in every format, at the client's pace.

chdb's own streaming gives each block as a document of its own (many heads in one CSVWithNames, many objects in one
JSON); `INTO OUTFILE` writes one, and a pipe is a file.
"""

import asyncio
import fcntl
import io
import os
from collections.abc import AsyncIterator
from typing import Self

PIPE_BYTES = 1 << 20


class ResultPipe:
    """The read end here, the write end at `path` for one query."""

    def __init__(self, transport: asyncio.ReadTransport, reader: asyncio.StreamReader, write_end: int) -> None:
        self._transport = transport
        self._reader = reader
        self._write_end = write_end
        self.path = f"/dev/fd/{write_end}"

    @classmethod
    async def open(cls) -> Self:
        """Make one and begin to read."""
        read_end, write_end = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        reader = asyncio.StreamReader(limit=PIPE_BYTES)
        # libuv closes the read end, and then uvloop closes the file: were that the owner, the second close could hit a
        # table's file that a query has opened in between (uvloop#763).
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), io.FileIO(read_end, closefd=False)
        )
        return cls(transport, reader, write_end)

    def written(self) -> None:
        """The query is done: what is in the pipe is the rest."""
        os.close(self._write_end)

    async def head(self, size: int) -> tuple[bytes, bool]:
        """The first bytes, and whether they are all."""
        found = bytearray()
        while len(found) <= size:
            piece = await self._reader.read(PIPE_BYTES)
            if not piece:
                return bytes(found), True
            found += piece
        return bytes(found), False

    async def pieces(self) -> AsyncIterator[bytes]:
        """What follows."""
        while piece := await self._reader.read(PIPE_BYTES):
            yield piece

    def close(self) -> None:
        """Stop reading; a query that still writes gets no room any more."""
        self._transport.close()
