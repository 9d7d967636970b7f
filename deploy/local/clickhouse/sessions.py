"""Sessions: connections that outlive a request, so that temporary tables and SET do too.

Invariant: a session serves one request at a time, and what a request's URL sets ends with the request.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from deploy.local.clickhouse.engine import Link, quote
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.protocol import SessionRequest
from deploy.local.clickhouse.users import Role


@dataclass(slots=True)
class Session:
    """One session of one user; its connection is opened by its first query, in that query's thread."""

    id: str
    role: Role
    busy: bool = True
    expires_at: float = 0.0
    link: Link | None = field(default=None, repr=False)


class Sessions:
    """All open sessions; used from the event loop only."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._sessions: dict[tuple[Role, str], Session] = {}

    def acquire(self, role: Role, request: SessionRequest) -> Session:
        """The session for one request.

        Raises:
            ClickHouseError: 373, another request runs in it; 372, it should exist and does not; 202, too many.
        """
        session = self._sessions.get((role, request.id))
        if session is None:
            if request.must_exist:
                raise ClickHouseError(372, "SESSION_NOT_FOUND", f"Session {request.id} not found")
            if len(self._sessions) >= self._limit:
                raise ClickHouseError(
                    202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"Too many sessions: {self._limit} are open; close some"
                )
            session = self._sessions[role, request.id] = Session(request.id, role)
        elif session.busy:
            raise ClickHouseError(373, "SESSION_IS_LOCKED", f"Session {request.id} is locked by a concurrent client")
        session.busy = True
        return session

    def release(self, session: Session, request: SessionRequest) -> Link | None:
        """End the request's hold; returns a connection to close where the session ends too."""
        session.busy = False
        session.expires_at = self._clock() + request.timeout_seconds
        if request.closes or session.link is None:
            del self._sessions[session.role, session.id]
            return session.link
        return None

    def take_expired(self, *, everything: bool = False) -> list[Link]:
        """Drop the sessions whose time is over, or all idle ones; returns the connections to close."""
        now = self._clock()
        over = [key for key, item in self._sessions.items() if not item.busy and (everything or item.expires_at <= now)]
        dropped = [self._sessions.pop(key) for key in over]
        return [session.link for session in dropped if session.link]


@contextmanager
def borrowed(session: Session, link: Link, database: str, settings: Mapping[str, str]) -> Iterator[None]:
    """Change a session's connection for one query, and put back what was there."""
    before = _current(link, settings)
    home = link.run("SELECT currentDatabase() FORMAT TSVRaw").output.decode().rstrip("\n") if database else ""
    try:
        if database:
            link.use(database)
        link.set(settings)
        yield
    finally:
        try:
            link.set(before)
            if home:
                link.use(home)
        except ClickHouseError:  # better a session that has forgotten everything than one that keeps a stranger's
            session.link = None
            link.close()


def _current(link: Link, settings: Mapping[str, str]) -> dict[str, str | None]:
    """What these settings are now, None where they are the default."""
    if not settings:
        return {}
    rows = link.run(
        "SELECT name || '\\0' || changed::String || value || '\\x01' FROM system.settings "
        "WHERE has({names:Array(String)}, name)",
        "RawBLOB",
        parameters={"names": "[" + ",".join(map(quote, settings)) + "]"},
    )
    pairs = (row.split("\0", 1) for row in rows.output.decode().split("\1") if row)
    return {name: value[1:] if value[0] == "1" else None for name, value in pairs}
