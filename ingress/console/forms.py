"""What a browser posts: small, in time, and nothing but fields of text."""

import asyncio
from http import HTTPStatus

from aiohttp import web

from ingress.console.errors import refusal

MAX_BYTES = 64 << 10
_SECONDS = 10
_FORM = "application/x-www-form-urlencoded"


class Form:
    """The fields of one form, each without the blanks around it."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """A field; empty where it is not there."""
        return self._fields.get(name, "").strip()

    def secret(self, name: str) -> str:
        """A field to the letter: a password."""
        return self._fields.get(name, "")


async def read_form(request: web.Request, max_bytes: int = MAX_BYTES) -> Form:
    """The form in the body.

    Raises:
        PageError: where it is no form, or comes too slowly.
        HTTPRequestEntityTooLarge: where it is larger than `max_bytes`.
    """
    if request.content_type != _FORM:
        raise refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    try:
        async with asyncio.timeout(_SECONDS):
            posted = await request.clone(client_max_size=max_bytes).post()
    except TimeoutError as error:
        raise refusal(HTTPStatus.REQUEST_TIMEOUT) from error
    except (ValueError, LookupError, web.RequestPayloadError) as error:
        raise refusal(HTTPStatus.BAD_REQUEST) from error
    return Form({name: value for name, value in posted.items() if isinstance(value, str)})
