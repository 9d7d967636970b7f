"""ClickHouse's HTTP interface: what a request asks for.

Pure.  Invariant: every parameter is either one of the interface's own or a setting; none is silently dropped.
"""

import base64
import binascii
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deploy.local.clickhouse.codings import choose_encoding
from deploy.local.clickhouse.errors import ClickHouseError

_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_FORMAT = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_ZONE = re.compile(r"[A-Za-z0-9_+/-]+")
_MAX_SESSION_SECONDS = 3600
_MAX_ID_CHARACTERS = 500
_IGNORED = frozenset(
    ("quota_key", "stacktrace", "buffer_size", "client_protocol_version", "http_write_exception_in_output_format")
)


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Which session a request belongs to.

    Attributes:
        must_exist: refuse to open a new one.
        closes: the session ends with this request.
    """

    id: str
    timeout_seconds: int
    must_exist: bool
    closes: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A request without its body.

    Attributes:
        query: the SQL of the URL, which the body continues.
        timezone: session_timezone, where it is set.
        readonly: it came by GET.
        encoding: what the answer is packed in.
    """

    user: str
    password: str = field(repr=False)
    query: str
    database: str
    default_format: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    query_id: str
    timezone: str
    session: SessionRequest | None
    readonly: bool
    wait_end_of_query: bool
    encoding: str | None


def read_call(method: str, pairs: Iterable[tuple[str, str]], headers: Mapping[str, str]) -> Call:
    """Read the URL's parameters and the headers (looked up whatever their case).

    Raises:
        ClickHouseError: a parameter is malformed or asks for what is not here.
    """
    own, settings, parameters = _sort(pairs)
    user, password = _credentials(own, headers)
    default_format = headers.get("X-ClickHouse-Format") or own.get("default_format") or "TabSeparated"
    if not _FORMAT.fullmatch(default_format):
        raise ClickHouseError(73, "UNKNOWN_FORMAT", f"Unknown format {default_format}")
    zone = settings.get("session_timezone", "")
    packed = _flag(settings.pop("enable_http_compression", "0"))
    return Call(
        user=user,
        password=password,
        query=own.get("query", ""),
        database=headers.get("X-ClickHouse-Database") or own.get("database", ""),
        default_format=default_format,
        settings=settings,
        parameters=parameters,
        query_id=_query_id(own),
        timezone=zone if _ZONE.fullmatch(zone) else "",
        session=_session(own),
        readonly=method != "POST",
        wait_end_of_query=_flag(own.get("wait_end_of_query", "0")),
        encoding=choose_encoding(headers.get("Accept-Encoding", "")) if packed else None,
    )


_OWN = frozenset(("query", "database", "default_format", "query_id", "wait_end_of_query", "user", "password", "role"))
_OWN_RARE = frozenset(("session_id", "session_timeout", "session_check", "close_session", "compress", "decompress"))


def _sort(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Tell the interface's own parameters, settings and the query's parameters apart."""
    own: dict[str, str] = {}
    settings: dict[str, str] = {}
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name.startswith("param_"):
            parameters[name.removeprefix("param_")] = value
        elif name in _OWN or name in _OWN_RARE:
            own[name] = own.get(name, "") + value if name == "query" else value
        elif name in _IGNORED:
            continue
        elif _SETTING.fullmatch(name):
            settings[name] = value
        else:
            raise ClickHouseError(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'")
    _refuse_what_is_not_here(own)
    return own, settings, parameters


def _refuse_what_is_not_here(own: Mapping[str, str]) -> None:
    for name in ("compress", "decompress"):
        if _flag(own.get(name, "0")):
            raise ClickHouseError(
                48,
                "NOT_IMPLEMENTED",
                f"{name}=1, ClickHouse's own block compression, is not supported; use Content-Encoding for the body "
                "and enable_http_compression=1 with Accept-Encoding for the answer",
            )
    if "role" in own:
        raise ClickHouseError(512, "SET_NON_GRANTED_ROLE", "The role comes with the user and cannot be changed")


def _credentials(own: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    """User and password: ClickHouse's own headers, else Basic, else the URL."""
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", "")
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ClickHouseError(516, "AUTHENTICATION_FAILED", "Invalid Basic authorization header") from error
        return user, password
    if scheme:
        raise ClickHouseError(516, "AUTHENTICATION_FAILED", f"Authorization scheme '{scheme}' is not Basic")
    return own.get("user", "default"), own.get("password", "")


def _query_id(own: Mapping[str, str]) -> str:
    """The client's own id, or a fresh one; it goes back in a header."""
    query_id = own.get("query_id") or str(uuid.uuid4())
    if not query_id.isprintable() or len(query_id) > _MAX_ID_CHARACTERS:
        raise ClickHouseError(
            36, "BAD_ARGUMENTS", f"query_id must be of at most {_MAX_ID_CHARACTERS} printable characters"
        )
    return query_id


def _session(own: Mapping[str, str]) -> SessionRequest | None:
    if not own.get("session_id"):
        return None
    timeout = own.get("session_timeout", "60")
    if not timeout.isdecimal() or not 0 < int(timeout) <= _MAX_SESSION_SECONDS:
        raise ClickHouseError(
            374, "INVALID_SESSION_TIMEOUT", f"Invalid session timeout: '{timeout}'; 1 to {_MAX_SESSION_SECONDS} seconds"
        )
    return SessionRequest(
        own["session_id"],
        int(timeout),
        must_exist=_flag(own.get("session_check", "0")),
        closes=_flag(own.get("close_session", "0")),
    )


def _flag(value: str) -> bool:
    return value.strip().lower() in {"1", "true", "yes", "on"}
