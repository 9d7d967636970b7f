"""Web origins that a team allows: `scheme://host[:port]` as a browser writes them (RFC 6454, 6.2), or `*` for all.

Pure.  What is stored is compared with what a browser sends character by character, so it is brought to that form here.
"""

import re

ANY = "*"

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII
)
_MAX_CHARACTERS = 255


def parse_origin(text: str) -> str:
    """The origin as browsers send it: in lower case, without the port that its scheme has anyway.

    Raises:
        ValueError: where it is none, with words for who typed it.
    """
    if text == ANY:
        return ANY
    match = _ORIGIN.fullmatch(text.lower())
    if match is None or len(text) > _MAX_CHARACTERS:
        raise ValueError(
            f"{text!r} is no origin: write scheme://host or scheme://host:port, without a path or a wildcard, "
            "and a host of other letters as xn--…; or * for every origin"
        )
    scheme, host, port = match.groups()
    if port is None or int(port) == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    if not 0 < int(port) < 1 << 16:
        raise ValueError(f"{text!r} is no origin: a port is a number from 1 to 65535")
    return f"{scheme}://{host}:{int(port)}"
