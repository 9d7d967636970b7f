"""The way to an external registry: the only module that knows its REST API.

Invariant: no credential is in an address, an error or a log.
Source: Confluent, "Schema Registry API Reference"; what Apicurio serves of it.
"""

import json
from http import HTTPStatus
from typing import Any, NamedTuple, Self, TypeGuard
from urllib.parse import quote

import aiohttp
from aiohttp import hdrs

from ingress.registry.entrance import CONTENT_TYPE, schema_in
from ingress.registry.levels import Level, parse_level
from ingress.registry.refusals import Code, Refused
from ingress.registry.settings import RegistrySettings
from schemas.errors import Unavailable

ANSWER_SECONDS = 10
MAX_NUMBER = 2**31 - 1
MAX_MESSAGE_CHARACTERS = 200
# Not about what was asked; another time it may be answered.
_NO_ANSWERS = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
}


class Listed(NamedTuple):
    """A version as the registry has it.

    Attributes:
        text: the schema as it was sent.
    """

    id: int
    text: str


class ExternalRegistry:
    """A registry that is not ours.

    Every method raises `Unavailable` where it does not answer, or not as a registry does.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self._url = settings.schema_registry_url or ""
        self.host = settings.schema_registry_host or ""
        user, password = (
            each.get_secret_value() if each else ""
            for each in (settings.schema_registry_user, settings.schema_registry_password)
        )
        basic = aiohttp.encode_basic_auth(user, password, encoding="utf-8")
        self._headers = {hdrs.AUTHORIZATION: basic} if user or password else {}

    async def __aenter__(self) -> Self:
        """Connect when first asked."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close all connections."""
        await self._session.close()

    async def subjects(self) -> list[str]:
        """The names of all subjects with a version that is not deleted."""
        try:
            names = self._checked(await self._get("/subjects"), list)
        except Refused as error:
            raise Unavailable(str(error)) from error
        return [name for name in names if isinstance(name, str)]

    async def versions(self, subject: str) -> list[int]:
        """The numbers of a subject's versions that are not deleted; none where there is no such subject.

        Raises:
            Refused: where the registry lists a subject that it does not take in an address: one with a slash, perhaps.
        """
        numbers = await self._get(f"/subjects/{_quoted(subject)}/versions") or []
        return sorted(number for number in self._checked(numbers, list) if _is_number(number))

    async def version(self, subject: str, number: int) -> Listed | None:
        """One version; None where it was deleted just now.

        Raises:
            Refused: where it is of a kind that we do not take.
        """
        found = await self._get(f"/subjects/{_quoted(subject)}/versions/{number}")
        if found is None:
            return None
        document = self._checked(found, dict)
        return Listed(self._id_in(document), schema_in(document))

    async def level(self, subject: str) -> Level:
        """What it asks of a new version.

        Raises:
            Refused: where that is none that we know.
        """
        path = f"/config/{_quoted(subject)}?defaultToGlobal=true"
        config = self._checked(await self._get(path) or await self._get("/config"), dict)
        return parse_level(config.get("compatibilityLevel"))

    async def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Register a schema of ours, whatever those before it were; returns its id.

        Raises:
            Refused: where the registry does not take it.
        """
        at = _quoted(subject)
        path, body = f"/subjects/{at}/versions", {"schema": json.dumps(schema), "schemaType": "AVRO"}
        status, found = await self._ask("POST", path, body)
        if status == HTTPStatus.CONFLICT:
            await self._ask("PUT", f"/config/{at}", {"compatibility": Level.NONE})
            status, found = await self._ask("POST", path, body)
        if status != HTTPStatus.OK:
            words = f"The registry at {self.host} does not take what the stream would write, as {subject}"
            raise Refused(Code.INVALID_SCHEMA, f"{words}: {status} {_message(found)}")
        return self._id_in(self._checked(found, dict))

    async def _get(self, path: str) -> object:
        """A document; None where there is none."""
        status, found = await self._ask("GET", path)
        if status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            words = f"The registry at {self.host} does not answer GET {path}"
            raise Refused(Code.INVALID_SUBJECT, f"{words}: {status} {_message(found)}")
        return found if status == HTTPStatus.OK else None

    async def _ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """The status, 200 or why not, and the document where there is one."""
        headers = {} if body is None else {hdrs.CONTENT_TYPE: CONTENT_TYPE}
        content = None if body is None else json.dumps(body).encode()
        sent = self._session.request(method, self._url + path, data=content, headers=headers, allow_redirects=False)
        try:
            async with sent as response:
                status, text = response.status, await response.text(errors="replace")
            if status == HTTPStatus.OK:
                return status, json.loads(text)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, RecursionError) as error:
            raise self._away(repr(error)) from error
        if status in _NO_ANSWERS or not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self._away(f"{method} {path}: {status}")
        return status, text

    def _checked(self, found: object, kind: type) -> Any:
        if not isinstance(found, kind):
            raise self._away("its answer is none of a registry's")
        return found

    @staticmethod
    def _id_in(document: dict[str, Any]) -> int:
        found = document.get("id")
        if not _is_number(found):
            raise Refused(Code.INVALID_SCHEMA, f"{found!r} is no id.")
        return found

    def _away(self, why: str) -> Unavailable:
        return Unavailable(f"The registry at {self.host}: {why}")


def _message(text: object) -> str:
    """What a registry, or somebody on the way, says of a request that it does not take."""
    try:
        return str(json.loads(str(text))["message"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return str(text)[:MAX_MESSAGE_CHARACTERS]


def _is_number(found: object) -> TypeGuard[int]:
    return type(found) is int and 0 < found <= MAX_NUMBER


def _quoted(subject: str) -> str:
    return quote(subject, safe="")
