"""What stands before the registry's handlers: who asks, what they send, and the shape of every answer.

Invariant: no cookie lets anybody in, so no page can ask in a visitor's name.
"""

import asyncio
import json
import time
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from ingress.accounts.errors import NotFound
from ingress.accounts.team_tokens import Holder, TeamTokens
from ingress.accounts.tokens import is_well_formed
from ingress.console.throttle import Rate, Throttle
from ingress.measured import measured
from ingress.registry.refusals import Code, Refused
from ingress.requests import TOKEN_HEADER, credentials
from schemas.errors import Unavailable
from schemas.logs import get_logger

PREFIX = "/registry"
CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
# A schema of the largest size, with each of its characters escaped.
MAX_BODY_BYTES = 1 << 20
BODY_SECONDS = 10
RETRY_SECONDS = 5
# Of each address.
WRONG_TOKENS = Rate(20, 6)
HOLDER = web.RequestKey("holder", Holder)

_log = get_logger(__name__)


class Entrance:
    """The middlewares of the registry."""

    def __init__(self, tokens: TeamTokens) -> None:
        self._tokens = tokens
        self._throttle = Throttle(WRONG_TOKENS, WRONG_TOKENS)

    @web.middleware
    async def answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """An error becomes an answer as Confluent's clients read it."""
        return await measured(request, self._answer(request, handler))

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as error:
            details = {"details": list(error.details)} if error.details else {}
            response = answer({"error_code": error.code, "message": str(error), **details}, error.code.status)
            if error.code is Code.UNAUTHORIZED:
                response.headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="Schema Registry", charset="UTF-8"'
            return response
        except NotFound as error:
            return _failed(HTTPStatus.NOT_FOUND, str(error))
        except web.HTTPException as error:
            response = _failed(HTTPStatus(error.status), error.reason)
            for name in (hdrs.ALLOW, hdrs.RETRY_AFTER):
                if name in error.headers:
                    response.headers[name] = error.headers[name]
            return response
        except Unavailable as error:
            _log.warning("registry_unavailable", reason=str(error))
            response = _failed(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}  Send the same again.")
            response.headers[hdrs.RETRY_AFTER] = str(RETRY_SECONDS)
            return response
        except ConnectionError:
            raise  # The client is gone.
        except Exception:  # noqa: BLE001 - the last resort: one request fails, the others go on
            _log.exception("registry_failed", method=request.method)
            return _failed(
                HTTPStatus.INTERNAL_SERVER_ERROR, "Something failed that should not; the console's log says what."
            )

    @web.middleware
    async def find_holder(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Only who holds a team's token, and not one that everybody can read in a web page."""
        secret = _secret(request)
        # A typo asks the database nothing, and is no guess.
        is_token = is_well_formed(secret)
        holder = await self._tokens.holder(secret, datetime.now(UTC)) if is_token else None
        if holder is None:
            if is_token and (seconds := self._throttle.take(request.remote or "", "", time.time())):
                headers = {hdrs.RETRY_AFTER: str(seconds)}
                raise web.HTTPTooManyRequests(reason=f"Too many wrong tokens: wait {seconds} s.", headers=headers)
            words = f"Send a team's token that works: as user or password of Basic, as Bearer, or in {TOKEN_HEADER}."
            raise Refused(Code.UNAUTHORIZED, words)
        if holder.write_only:
            raise Refused(Code.FORBIDDEN, "This token may only send events; ask with another one of the team.")
        request[HOLDER] = holder
        return await handler(request)


def answer(document: object, status: int = HTTPStatus.OK) -> web.Response:
    """An answer in JSON."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return web.Response(body=body, status=status, content_type=CONTENT_TYPE)


def flag(request: web.Request, name: str) -> bool:
    """Whether a parameter of the query is true."""
    return request.query.get(name, "").lower() == "true"


async def read_body(request: web.Request) -> dict[str, object]:
    """The object in a request's body.

    Raises:
        Refused: where there is none.
        HTTPException: where it is too large or too slow.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, len(body))
        document = json.loads(body)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout from error
    except (ValueError, RecursionError, web.RequestPayloadError) as error:
        raise Refused(Code.INVALID_SCHEMA, "The body must be a JSON object.") from error
    if not isinstance(document, dict):
        raise Refused(Code.INVALID_SCHEMA, "The body must be a JSON object.")
    return document


def schema_in(document: dict[str, object]) -> str:
    """The schema that is sent.

    Raises:
        Refused: where there is none that we take.
    """
    if document.get("schemaType") not in {None, "", "AVRO"}:
        raise Refused(Code.INVALID_SCHEMA, "The schemaType must be AVRO: events are normalized to Avro.")
    if document.get("references"):
        raise Refused(Code.INVALID_SCHEMA, "References are not taken: write the types into the schema itself.")
    schema = document.get("schema")
    if not isinstance(schema, str) or not schema:
        raise Refused(Code.INVALID_SCHEMA, 'Send {"schema": "…"}, with the Avro schema as text.')
    return schema


def _failed(status: HTTPStatus, message: str) -> web.Response:
    return answer({"error_code": status, "message": message}, status)


def _secret(request: web.Request) -> str:
    """The token that is sent; empty where there is none, or more than one header with any."""
    given = request.headers.getall(TOKEN_HEADER, [])
    for authorization in request.headers.getall(hdrs.AUTHORIZATION, []):
        user, password = credentials(authorization)
        given.append(user if is_well_formed(user) else password)
    return given[0] if len(given) == 1 else ""
