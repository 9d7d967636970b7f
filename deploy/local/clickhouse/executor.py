"""Queries in threads: so many at once, so many waiting, each one known by its id.

Invariant: what a query holds (its thread, its connection, its session) is free again only when ClickHouse has let go
of the query, whatever became of the client.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deploy.local.clickhouse.engine import QUERY_ID_SETTING, Engine, Link, Result
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.sessions import Session, borrowed
from deploy.local.clickhouse.users import Role

_KILL_INTERVAL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """One statement, ready to run."""

    query_id: str
    role: Role
    sql: str
    output_format: str
    database: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    session: Session | None
    readonly: bool


class Executor:
    """Runs jobs; used from the event loop, works in threads."""

    def __init__(self, engine: Engine, max_running: int, max_waiting: int) -> None:
        self._engine = engine
        self._max_tasks = max_running + max_waiting
        self._slots = asyncio.Semaphore(max_running)
        self._threads = ThreadPoolExecutor(max_running, thread_name_prefix="query")
        self._tasks: dict[str, asyncio.Task[Result]] = {}
        self._in_thread: set[str] = set()
        self._cancelling: set[asyncio.Task[None]] = set()

    def submit(self, job: Job) -> asyncio.Task[Result]:
        """Start a job, or queue it; the task ends when ClickHouse is done with it.

        Raises:
            ClickHouseError: 216, its id is taken; 202, too many wait.
        """
        if job.query_id in self._tasks:
            raise ClickHouseError(
                216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", f"Query with id = {job.query_id} is already running."
            )
        if len(self._tasks) >= self._max_tasks:
            raise ClickHouseError(
                202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"Too many simultaneous queries. Maximum: {self._max_tasks}"
            )
        task = asyncio.create_task(self._run(job), name=f"query {job.query_id}")
        self._tasks[job.query_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.query_id))
        return task

    def cancel(self, query_id: str) -> None:
        """Make a job end soon; whoever awaits it sees ClickHouse's own error."""
        task = asyncio.create_task(self._cancel(query_id))
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def drain(self, seconds: float) -> None:
        """Let running jobs finish for so long, then cancel what is left."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)
        for query_id in list(self._tasks):
            self.cancel(query_id)
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=1)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, job: Job) -> Result:
        async with self._slots:
            self._in_thread.add(job.query_id)
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, job)
            finally:
                self._in_thread.discard(job.query_id)

    async def _cancel(self, query_id: str) -> None:
        """ClickHouse knows a query only some time after its thread has begun, so this asks until it is gone."""
        task = self._tasks.get(query_id)
        if task and query_id not in self._in_thread:
            task.cancel()
        while task and not task.done():
            await asyncio.to_thread(self._engine.kill, query_id)
            await asyncio.wait([task], timeout=_KILL_INTERVAL_SECONDS)

    def _work(self, job: Job) -> Result:
        if job.session is not None:
            return self._work_in_session(job, job.session)
        link = self._engine.open(job.role, readonly=job.readonly)
        try:
            if job.database:
                link.use(job.database)
            link.set({**job.settings, QUERY_ID_SETTING: job.query_id})
            return link.run(job.sql, job.output_format, job.parameters)
        finally:
            link.close()

    def _work_in_session(self, job: Job, session: Session) -> Result:
        if session.link is None:
            session.link = self._engine.open(job.role, readonly=False)
        link: Link = session.link
        with borrowed(session, link, job.database, {**job.settings, QUERY_ID_SETTING: job.query_id}):
            return link.run(job.sql, job.output_format, job.parameters)
