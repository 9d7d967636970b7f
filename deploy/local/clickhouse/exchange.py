"""One request on its way to its answer.

Invariant: what a request holds (a file of rows, a session, a pipe) is let go exactly when ClickHouse is done with its
statement, also where the client has left before.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import BodyPartReader, web

from deploy.local.clickhouse import answer
from deploy.local.clickhouse.body import Parsed, Spool, read
from deploy.local.clickhouse.engine import QUERY_ID_SETTING, Engine, Result
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.executor import Executor, Job
from deploy.local.clickhouse.guard import check
from deploy.local.clickhouse.pipe import ResultPipe
from deploy.local.clickhouse.protocol import Call, read_call
from deploy.local.clickhouse.sessions import Sessions
from deploy.local.clickhouse.statement import Statement, StatementKind
from deploy.local.clickhouse.users import Role, Users

# So much of a result is awaited before its status goes out: what fails up to there answers with its own status.
HEAD_BYTES = 1 << 20
_WITH_OUTPUT = frozenset(("SHOW", "DESC", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK", "KILL"))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What all requests share."""

    engine: Engine
    users: Users
    executor: Executor
    sessions: Sessions
    spool: Spool
    results: Spool
    max_body_bytes: int


class Exchange:
    """One request."""

    def __init__(self, endpoint: Endpoint, request: web.Request) -> None:
        self._endpoint = endpoint
        self._request = request
        self._started = time.perf_counter()
        self._timezone = endpoint.engine.timezone
        self.query_id = ""

    async def answer(self) -> web.StreamResponse:
        """Run what the request asks for.

        Raises:
            ClickHouseError: before anything of an answer is out.
        """
        call, pieces = await self._read_call()
        self.query_id = call.query_id
        self._timezone = call.timezone or self._timezone
        role = self._endpoint.users.authenticate(call.user, call.password)
        encoding = self._request.headers.get("Content-Encoding", "").strip().lower()
        endpoint = self._endpoint
        parsed = await read(call.query, pieces, encoding, endpoint.spool, endpoint.max_body_bytes)
        try:
            check(parsed.statement, role, call.parameters, readonly=call.readonly)
        except ClickHouseError:
            parsed.discard()
            raise
        if parsed.statement.kind is not StatementKind.SELECT:
            return await self._run(call, role, parsed)
        if call.wait_end_of_query:
            return await self._collect(call, role, parsed.statement)
        return await self._stream(call, role, parsed.statement)

    def headers(self, output_format: str | None) -> dict[str, str]:
        """The headers that every answer has."""
        return answer.headers(self.query_id, output_format, self._timezone, self._endpoint.engine.host)

    async def _read_call(self) -> tuple[Call, AsyncIterator[bytes]]:
        request = self._request
        pairs = list(request.query.items())
        if request.content_type != "multipart/form-data":
            return read_call(request.method, pairs, request.headers), request.content.iter_any()
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.filename or not part.name:
                raise ClickHouseError(
                    48, "NOT_IMPLEMENTED", "External tables need a real ClickHouse server (set CLICKHOUSE_URL)"
                )
            pairs.append((part.name, await part.text()))
        return read_call(request.method, pairs, request.headers), _nothing()

    async def _run(self, call: Call, role: Role, parsed: Parsed) -> web.Response:
        """A statement whose output is small.  A client that leaves does not stop it: it may have written already."""
        statement = parsed.statement
        sql = statement.from_file(str(parsed.rows)) if parsed.rows else statement.plain()
        if statement.words[:1] == ("KILL",):
            sql = statement.with_names_as("query_id", f"Settings['{QUERY_ID_SETTING}']")
        output_format = None if parsed.rows else statement.format
        task = self._submit(call, role, sql, output_format or call.default_format, parsed.discard)
        result = await asyncio.shield(task)
        shows = bool(result.output) or (statement.words[:1] and statement.words[0] in _WITH_OUTPUT)
        headers = self.headers((output_format or call.default_format) if shows else None)
        headers["X-ClickHouse-Summary"] = self._summary(result)
        return await answer.whole(result.output, headers, call.encoding if result.output else None)

    async def _stream(self, call: Call, role: Role, statement: Statement) -> web.StreamResponse:
        """A query whose result goes out while it runs; a client that leaves stops it."""
        output_format = statement.format or call.default_format
        task: asyncio.Task[Result] | None = None
        pipe = await ResultPipe.open()
        try:
            sql = statement.into_file(pipe.path, output_format)
            task = self._submit(call, role, sql, output_format, pipe.written)
            head, complete = await pipe.head(HEAD_BYTES)
            result = await asyncio.shield(task) if complete else None
            headers = self.headers(output_format)
            headers["X-ClickHouse-Summary"] = self._summary(result)
            if result:
                return await answer.whole(head, headers, call.encoding)
            pieces = _rest(head, pipe, task)
            return await answer.streamed(self._request, pieces, headers, call.encoding, self._endpoint.engine.version)
        finally:
            pipe.close()
            if task and not task.done():
                self._endpoint.executor.cancel(call.query_id)

    async def _collect(self, call: Call, role: Role, statement: Statement) -> web.StreamResponse:
        """A query whose result is all there before its status goes out (wait_end_of_query=1)."""
        path = self._endpoint.results.new()
        output_format = statement.format or call.default_format
        task = self._submit(call, role, statement.into_file(str(path), output_format), output_format, _no_op)
        try:
            result = await asyncio.shield(task)
            headers = self.headers(output_format)
            headers["X-ClickHouse-Summary"] = self._summary(result)
            pieces = _file(path)
            return await answer.streamed(self._request, pieces, headers, call.encoding, self._endpoint.engine.version)
        finally:
            if not task.done():
                self._endpoint.executor.cancel(call.query_id)
            task.add_done_callback(lambda _: path.unlink(missing_ok=True))

    def _submit(
        self, call: Call, role: Role, sql: str, output_format: str, let_go: Callable[[], None]
    ) -> asyncio.Task[Result]:
        """Start the statement; `let_go` is called once it is done, or could not be started."""
        sessions = self._endpoint.sessions
        wanted, session = call.session, None
        try:
            session = sessions.acquire(role, wanted) if wanted else None
            job = Job(
                call.query_id,
                role,
                sql,
                output_format,
                call.database,
                call.settings,
                call.parameters,
                session,
                call.readonly,
            )
            task = self._endpoint.executor.submit(job)
        except ClickHouseError:
            let_go()
            if session and wanted:
                sessions.release(session, wanted)
            raise

        def done(task: asyncio.Task[Result]) -> None:
            let_go()
            link = sessions.release(session, wanted) if session and wanted else None
            if link:
                link.close()
            if not task.cancelled():
                task.exception()  # a client that has left does not ask for it

        task.add_done_callback(done)
        return task

    def _summary(self, result: Result | None) -> str:
        return answer.summary(result, time.perf_counter() - self._started)


async def _rest(head: bytes, pipe: ResultPipe, task: asyncio.Task[Result]) -> AsyncIterator[bytes]:
    yield head
    async for piece in pipe.pieces():
        yield piece
    await asyncio.shield(task)


async def _file(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(HEAD_BYTES):
            yield piece


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for piece in empty:
        yield piece


def _no_op() -> None:
    """Nothing is held."""
