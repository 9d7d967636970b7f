"""The console as a process, for tests: with users of its own, and a client that keeps to what a browser does."""

import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import requests
from argon2 import PasswordHasher
from requests.adapters import HTTPAdapter

from ingress.accounts.models import Role, User
from tests.accounts import ACTOR, Stores
from tests.services import free_port, process, wait_until

PASSWORD = "a good deal of words"
# As weak as the library lets it be: what is checked with it costs tests no time.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD_HASH = CHEAP.hash(PASSWORD)
SESSION_COOKIE = "__Host-session"


class _From(HTTPAdapter):
    """Connects from one of this machine's own addresses."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:  # noqa: FBT001, FBT002 - theirs
        """Hand the address to the connections."""
        super().init_poolmanager(connections, maxsize, block, source_address=(self._address, 0), **options)


@dataclass
class Visitor:
    """One browser: it keeps cookies, says where a request comes from, and follows no redirect by itself."""

    base_url: str
    address: str = "127.0.0.1"
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> requests.Response:
        """Look at a page."""
        return self._send("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str] | bytes | None = None, **headers: str) -> requests.Response:
        """Send a form from a page of the console, unless the headers say otherwise; an empty one is left out."""
        return self._send("POST", path, form or {}, {"Sec_Fetch_Site": "same-origin"} | headers)

    def request(self, method: str, path: str) -> requests.Response:
        """Either."""
        return self.get(path) if method == "GET" else self.post(path)

    def sign_in(self, email: str, password: str = PASSWORD) -> requests.Response:
        """Fill in the form."""
        return self.post("/sign-in", {"email": email, "password": password})

    def nonce(self, path: str) -> str:
        """The one-time word in the form of this page."""
        _, _, rest = self.get(path).text.partition('name="nonce" value="')
        assert rest, f"there is no form with a nonce at {path}"
        return rest.partition('"')[0]

    def _send(
        self, method: str, path: str, form: dict[str, str] | bytes | None, headers: dict[str, str]
    ) -> requests.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method == "POST":
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        with requests.Session() as session:
            session.mount("http://", _From(self.address))
            answer = session.request(
                method, self.base_url + path, data=form, headers=sent, allow_redirects=False, timeout=30
            )
        for line in answer.raw.headers.getlist("Set-Cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer


@dataclass(frozen=True)
class Console:
    """A running console.

    Attributes:
        stores: its accounts database, beside it.
        log: the file with its output.
        database: the file of its accounts database.
    """

    base_url: str
    operations_url: str
    running: subprocess.Popen[bytes]
    log: Path
    stores: Stores
    database: Path

    def visitor(self, address: str = "127.0.0.1") -> Visitor:
        """Somebody who is not signed in."""
        return Visitor(self.base_url, address)

    async def team(self, *, enabled: bool = True) -> str:
        """A team that no other test has."""
        slug = f"t{uuid.uuid4().hex[:12]}"
        await self.stores.accounts.create_team(slug, now(), ACTOR, enabled=enabled)
        return slug

    async def user(
        self, roles: Mapping[str, Role] | None = None, *, operator: bool = False, email: str | None = None
    ) -> User:
        """A user that no other test has, with roles by team."""
        email = email or f"{uuid.uuid4().hex[:12]}@example.com"
        people, teams = self.stores.people, dict(roles or {})
        # There is no other way to become a user than a link into a team.
        first, role = teams.popitem() if teams else (await self.team(), Role.MEMBER)
        secret = await people.invite(first, role, email, now(), ACTOR)
        user = await people.accept(secret, email, PASSWORD_HASH, now(), None)
        if not roles:
            await people.remove_member(first, user.id, now(), ACTOR)
        for team, role in teams.items():
            await people.join(await people.invite(team, role, email, now(), ACTOR), user.id, now(), None)
        return await people.change_user(user.id, now(), ACTOR, operator=operator)

    async def signed_in(self, user: User, at: datetime | None = None, user_agent: str = "a test") -> Visitor:
        """A browser in which the user is signed in, since `at`."""
        secret = await self.stores.sessions.open(user, at or now(), user_agent, "127.0.0.1")
        return Visitor(self.base_url, cookies={SESSION_COOKIE: secret})


@contextmanager
def running_console(database: Path, stores: Stores, **settings: object) -> Iterator[Console]:
    """Start `python -m ingress.console`, with more settings by name, and wait until it answers."""
    port, operations_port = free_port(), free_port()
    base_url, operations_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{operations_port}"
    env = {
        "ACCOUNTS_URL": f"sqlite:///{database}",
        "CONSOLE_PORT": str(port),
        "CONSOLE_METRICS_PORT": str(operations_port),
        "CONSOLE_URL": base_url,
        **{name.upper(): str(value) for name, value in settings.items()},
    }
    log = database.parent / f"console-{port}.log"
    with process([sys.executable, "-m", "ingress.console"], log, env) as running:
        wait_until(lambda: b'"listening"' in log.read_bytes() or running.poll() is not None, "the console listens")
        if running.poll() is not None:
            raise RuntimeError(log.read_text("utf-8"))
        yield Console(base_url, operations_url, running, log, stores, database)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)
