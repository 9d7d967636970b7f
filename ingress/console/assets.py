"""Styles, scripts and icons, which ship with the package.

One digest of all of them is in each address, so that a browser keeps them for ever and a new version is asked for
anew; a script finds its neighbors by a relative address.
"""

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files

from aiohttp import web

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Assets:
    """All files of `static/`, in memory.

    Attributes:
        digest: of their names and contents.
    """

    def __init__(self, contents: Mapping[str, bytes] | None = None) -> None:
        self._contents = dict(sorted((contents or _shipped()).items()))
        together = sha256()
        for name, content in self._contents.items():
            together.update(name.encode() + b"\0" + sha256(content).digest())
        self.digest = together.hexdigest()[:16]

    def url(self, name: str) -> str:
        """The address of a file.

        Raises:
            KeyError: where there is no such file.
        """
        self._contents[name]
        return f"/static/{self.digest}/{name}"

    async def serve(self, request: web.Request) -> web.Response:
        """`GET /static/{digest}/{name}`."""
        name, etag = request.match_info["name"], f'"{self.digest}"'
        content = self._contents.get(name)
        if content is None or request.match_info["digest"] != self.digest:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": etag}
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        kind = _TYPES[name[name.rindex(".") :]]
        return web.Response(body=content, content_type=kind, charset="utf-8", headers=headers)


def _shipped() -> dict[str, bytes]:
    folder = files("ingress.console").joinpath("static")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
