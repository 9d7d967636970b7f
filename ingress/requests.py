"""What a request must be before its events are looked at: of a type we read, not too large, not too slow."""

import asyncio
import binascii
from base64 import b64decode

from aiohttp import HttpVersion11, hdrs, web
from multidict import istr

from ingress.body import IDENTITY, check_encoding, decompress, too_large
from schemas.errors import ErrorCode, InvalidEvent

TOKEN_HEADER = istr("X-Auth-Token")
JSON = "application/json"
# What a browser sends without asking first (fetch.spec.whatwg.org, "CORS-safelisted request-header").
PLAIN = "text/plain"
NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


def token_of(request: web.BaseRequest) -> str | None:
    """The token in the request's head; None where there is none.

    Raises:
        InvalidEvent: where there are several: a proxy might have checked the one and we the other.
    """
    given = request.headers.getall(TOKEN_HEADER, ())
    authorization = request.headers.getall(hdrs.AUTHORIZATION, ())
    if authorization:
        given = [*given, *(credentials(each)[0] for each in authorization)]
    if len(given) > 1:
        raise InvalidEvent(ErrorCode.MISSING_TOKEN, "Send one token, in one header.")
    return given[0] if given and given[0] else None


def credentials(authorization: str) -> tuple[str, str]:
    """User and password of an Authorization header, of which Bearer has no password; both empty where it holds none."""
    scheme, _, given = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return given.strip(), ""
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = b64decode(given.strip(), validate=True).partition(b":")
        return user.decode(), password.decode(errors="replace")
    except (binascii.Error, UnicodeError, ValueError):
        return "", ""


def no_token(*, in_body: bool) -> InvalidEvent:
    """The refusal of a request without a token."""
    places = f"the header {TOKEN_HEADER}, as Bearer or as user of Basic{', or as writeKey in the body' * in_body}"
    return InvalidEvent(ErrorCode.MISSING_TOKEN, f"Send the team's token in {places}.")


def media_type(request: web.BaseRequest) -> str:
    """The body's type without its parameters; empty where there is none, or several.

    Raises:
        InvalidEvent: where the body is said to be text that is not UTF-8: JSON always is.
    """
    given = request.headers.getall(hdrs.CONTENT_TYPE, ())
    if len(given) != 1:
        return ""
    if given[0] == JSON:
        return JSON
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise wrong_media_type((JSON,))
    return request.content_type


def wrong_media_type(right: tuple[str, ...]) -> InvalidEvent:
    """The refusal of a body of another type."""
    message = f"Content-Type must be {' or '.join(right)}; JSON is always UTF-8."
    return InvalidEvent(ErrorCode.UNSUPPORTED_MEDIA_TYPE, message)


def whole_body(request: web.BaseRequest, max_bytes: int) -> bytes:
    """The plain bytes of a body that has been received.

    Raises:
        InvalidEvent: where it is too large, in an unknown coding, or not well-formed.
    """
    return _plain(request.content.read_nowait(), _encoding(request), max_bytes)


async def read_body(request: web.BaseRequest, max_bytes: int, timeout_seconds: float) -> bytes:
    """The same of one that may be on its way still; what its head says of it is checked first.

    Raises:
        InvalidEvent: as above, or where it does not arrive in time.
    """
    if request.content_length is not None and request.content_length > max_bytes:
        raise too_large(max_bytes)
    encoding = _encoding(request)
    await _continue_if_expected(request)
    return _plain(await _received(request, max_bytes, timeout_seconds), encoding, max_bytes)


def _encoding(request: web.BaseRequest) -> str:
    codings = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    return check_encoding(",".join(codings)) if codings else IDENTITY


def _plain(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    return decompress(body, encoding, max_bytes)


async def _received(request: web.BaseRequest, max_bytes: int, timeout_seconds: float) -> bytes:
    if request.content.is_eof():
        # It came after the head, but before anybody asked for it: no timer is needed.
        return request.content.read_nowait()
    try:
        async with asyncio.timeout(timeout_seconds):
            return await request.read()
    except TimeoutError as error:
        message = f"The body did not arrive within {timeout_seconds:g} s."
        raise InvalidEvent(ErrorCode.SLOW_BODY, message) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large(max_bytes) from error
    except web.RequestPayloadError as error:
        raise InvalidEvent(ErrorCode.BAD_REQUEST, "The body is not well-formed HTTP.") from error


async def _continue_if_expected(request: web.BaseRequest) -> None:
    """Ask for the body where the client waits for that: 100-continue is all there is (RFC 9110, 10.1.1)."""
    expected = request.headers.get(hdrs.EXPECT)
    if expected is None or request.version < HttpVersion11:
        return
    if expected.lower() != "100-continue":
        raise InvalidEvent(ErrorCode.BAD_REQUEST, "Expect can only be 100-continue.")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # aiohttp takes any output for the beginning of the answer.
    request.writer.output_size = 0
