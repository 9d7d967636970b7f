"""The body of a request: unpacked as it arrives, its statement read, its rows put into a file.

Invariant: memory stays bounded whatever the body's size, and a file never outlives its request: it goes when the
query is done, and what a killed process left goes at the next start.
"""

import os
import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from deploy.local.clickhouse.codings import Unpacker
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.statement import Statement, StatementKind, parse

# What ClickHouse itself reads of a statement at most (max_query_size); the data of an insert does not count.
MAX_STATEMENT_BYTES = 256 * 1024


class Spool:
    """A folder of files that live as long as their requests, one per process that owns a data folder."""

    def __init__(self, root: Path, data_dir: Path) -> None:
        name = sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]
        self._folder = root.resolve() / f"clickhouse-local-{name}"
        shutil.rmtree(self._folder, ignore_errors=True)
        root.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700)

    def new(self) -> Path:
        """A path that no file has yet."""
        return self._folder / uuid.uuid4().hex

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A request's statement, and the file with its rows where it inserts some."""

    statement: Statement
    rows: Path | None

    def discard(self) -> None:
        """Remove the file."""
        if self.rows:
            self.rows.unlink(missing_ok=True)


async def read(query: str, body: AsyncIterator[bytes], encoding: str, spool: Spool, max_bytes: int) -> Parsed:
    """Read a request: the URL's SQL, which the body continues behind a line end.

    Raises:
        ClickHouseError: the body is too large, not what its encoding says, or no statement.
    """
    pieces = _unpacked(body, encoding, max_bytes)
    head = query.encode("utf-8", "replace")
    statement = _insert(head + b"\n") if head else None
    if statement is None:
        text = bytearray(head + b"\n" if head else b"")
        async for piece in pieces:
            text += piece
            if len(text) > MAX_STATEMENT_BYTES:
                break
        statement = parse(bytes(text))
        if statement.kind is not StatementKind.INSERT_DATA:
            if len(text) > MAX_STATEMENT_BYTES:
                raise ClickHouseError(
                    62, "SYNTAX_ERROR", f"Syntax error: Max query size exceeded ({MAX_STATEMENT_BYTES} bytes)"
                )
            return Parsed(statement, None)
        first = bytes(text[statement.data_at :])
    else:
        first = (head + b"\n")[statement.data_at :]
    return Parsed(statement, await _spooled(first, pieces, spool.new()))


def _insert(text: bytes) -> Statement | None:
    """The URL's SQL where it is a whole INSERT, so that everything in the body is rows."""
    try:
        statement = parse(text)
    except ClickHouseError:
        return None
    return statement if statement.kind is StatementKind.INSERT_DATA else None


async def _spooled(first: bytes, pieces: AsyncIterator[bytes], path: Path) -> Path:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(first)
            async for piece in pieces:
                file.write(piece)
    except BaseException:
        os.unlink(path)  # noqa: PTH108 - ruff takes Path's own for a blocking call; both are
        raise
    return path


async def _unpacked(body: AsyncIterator[bytes], encoding: str, max_bytes: int) -> AsyncIterator[bytes]:
    unpacker = Unpacker(encoding)
    total = 0
    async for packed in body:
        for piece in unpacker.feed(packed):
            total += len(piece)
            if total > max_bytes:
                raise ClickHouseError(
                    307,
                    "TOO_MANY_BYTES",
                    f"The body is larger than {max_bytes} bytes; send smaller inserts, or set "
                    "CLICKHOUSE_LOCAL_MAX_BODY_BYTES",
                )
            yield piece
    unpacker.finish()
