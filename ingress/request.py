"""A request of the public listener."""

from aiohttp import web

from ingress.envelope import Sender


class Request(web.BaseRequest):
    """aiohttp's, with what is found out about it.

    Attributes:
        sender: who sends, once that is known.
    """

    sender: Sender | None = None
