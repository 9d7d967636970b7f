"""What a request must be before its event is looked at: authenticated, JSON, not too large, not too slow."""

import asyncio
import time

from aiohttp import HttpVersion11, hdrs, web
from multidict import istr

from ingress.auth import TokenSnapshot
from ingress.body import IDENTITY, check_encoding, decompress, too_large
from ingress.envelope import Sender
from schemas.errors import ErrorCode, InvalidEvent

TOKEN_HEADER = istr("X-Auth-Token")

_JSON = "application/json"


def authenticate(request: web.BaseRequest, tokens: TokenSnapshot) -> Sender:
    """Who sends this request.

    Raises:
        InvalidEvent: where there is not exactly one token, or the snapshot refuses it.
        Unavailable: where no token is known yet.
    """
    given = request.headers.getall(TOKEN_HEADER, ())
    # Two: a proxy might have checked the one and we the other.
    if len(given) != 1 or not given[0]:
        raise InvalidEvent(ErrorCode.MISSING_TOKEN, f"Send the team's token in one header {TOKEN_HEADER}.")
    return tokens.find(given[0], time.time())


def check_head(request: web.BaseRequest, max_bytes: int) -> str:
    """Check everything about the body that can be known before it is read, and return its coding.

    Raises:
        InvalidEvent: where the body is not JSON, or too large, or in a coding that we do not know.
    """
    if request.headers.get(hdrs.CONTENT_TYPE) != _JSON:
        _check_content_type(request)
    if request.content_length is not None and request.content_length > max_bytes:
        raise too_large(max_bytes)
    codings = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    return check_encoding(",".join(codings)) if codings else IDENTITY


def _check_content_type(request: web.BaseRequest) -> None:
    given = request.headers.getall(hdrs.CONTENT_TYPE, ())
    charset = (request.charset or "utf-8").lower() if given else ""
    if len(given) != 1 or request.content_type != _JSON or charset not in {"utf-8", "utf8"}:
        message = "Content-Type must be application/json; JSON is always UTF-8."
        raise InvalidEvent(ErrorCode.UNSUPPORTED_MEDIA_TYPE, message)


async def continue_if_expected(request: web.BaseRequest) -> None:
    """Ask for the body where the client waits for that; to be called when everything else is checked.

    Raises:
        InvalidEvent: where it expects something else: 100-continue is all there is (RFC 9110, 10.1.1).
    """
    expected = request.headers.get(hdrs.EXPECT)
    if expected is None or request.version < HttpVersion11:
        return
    if expected.lower() != "100-continue":
        raise InvalidEvent(ErrorCode.BAD_REQUEST, "Expect can only be 100-continue.")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # aiohttp takes any output for the beginning of the answer.
    request.writer.output_size = 0


async def read_body(request: web.BaseRequest, encoding: str, max_bytes: int, timeout_seconds: float) -> bytes:
    """The plain bytes of the body.

    Raises:
        InvalidEvent: where it does not arrive in time, is too large, or is not well-formed.
    """
    try:
        if request.content.is_eof():
            # The usual case: it came in one piece with the head, and needs no timer.
            body = request.content.read_nowait()
            if len(body) > max_bytes:
                raise too_large(max_bytes)
        else:
            async with asyncio.timeout(timeout_seconds):
                body = await request.read()
    except TimeoutError as error:
        message = f"The body did not arrive within {timeout_seconds:g} s."
        raise InvalidEvent(ErrorCode.SLOW_BODY, message) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large(max_bytes) from error
    except web.RequestPayloadError as error:
        raise InvalidEvent(ErrorCode.BAD_REQUEST, "The body is not well-formed HTTP.") from error
    return decompress(body, encoding, max_bytes)
