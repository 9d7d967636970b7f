"""A request of the public listener."""

from aiohttp import web

from ingress.batch import Item
from ingress.envelope import Sender


class Request(web.BaseRequest):
    """aiohttp's, with what is found out about it.

    Attributes:
        sender: who sends, once that is known.
        sent: the body, or the events that it was cut into, once it is here.
    """

    sender: Sender | None = None
    sent: bytes | list[Item] | None = None
