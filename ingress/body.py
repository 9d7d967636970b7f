"""The request's body without its compression.  Pure.

aiohttp's own decompression is off: it runs before the token is checked, hands on unknown codings as they are, and lets
a body that is not what it claims to be end as a 500.
"""

import zlib
from collections.abc import Callable
from typing import Protocol

from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

from schemas.errors import ErrorCode, InvalidEvent

IDENTITY = "identity"
# What follows a member is copied for each, so a body of nothing but tiny ones would take minutes.
MAX_MEMBERS = 64
_DEFLATE_METHOD = 8
# RFC 9659: a content coding needs no more than 8 MiB of window.
_ZSTD_OPTIONS = {int(DecompressionParameter.window_log_max): 23}


class _Decompressor(Protocol):
    """One gzip member, zlib stream or zstd frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def check_encoding(content_encoding: str) -> str:
    """The one coding that the header names.

    Raises:
        InvalidEvent: where it is none of ours, or several.
    """
    encoding = content_encoding.strip().lower()
    if encoding != IDENTITY and encoding not in _DECOMPRESSORS:
        message = "Content-Encoding must be one of identity, gzip, deflate and zstd."
        raise InvalidEvent(ErrorCode.UNSUPPORTED_ENCODING, message)
    return encoding


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The plain bytes of a body in a coding that `check_encoding` let pass; never more than the limit are made.

    Raises:
        InvalidEvent: where the body is not of this coding, or too large without it.
    """
    if encoding == IDENTITY:
        return body
    try:
        plain = _decompress(body, _DECOMPRESSORS[encoding], max_bytes + 1)
    except (zlib.error, ZstdError, EOFError) as error:
        message = f"The body is not what its Content-Encoding says: {encoding}."
        raise InvalidEvent(ErrorCode.BAD_REQUEST, message) from error
    if len(plain) > max_bytes:
        raise too_large(max_bytes)
    return plain


def too_large(max_bytes: int) -> InvalidEvent:
    """The refusal of an event or a body over its limit."""
    return InvalidEvent(ErrorCode.TOO_LARGE, f"It must not be larger than {max_bytes} bytes.")


def _decompress(body: bytes, new: Callable[[bytes], _Decompressor], max_length: int) -> bytes:
    """Members or frames may follow each other, as `cat a.gz b.gz` makes them."""
    plain = b""
    for _ in range(MAX_MEMBERS):
        member = new(body)
        plain += member.decompress(body, max_length - len(plain))
        body = member.unused_data
        if len(plain) >= max_length or (member.eof and not body):
            return plain
        if not member.eof:
            raise EOFError
    raise InvalidEvent(
        ErrorCode.BAD_REQUEST, f"The body must not consist of more than {MAX_MEMBERS} members or frames."
    )


def _gzip(_body: bytes) -> _Decompressor:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _deflate(body: bytes) -> _Decompressor:
    """The zlib format, or, as some clients have it, the bare stream without its header."""
    return zlib.decompressobj(zlib.MAX_WBITS if body[0] & 0x0F == _DEFLATE_METHOD else -zlib.MAX_WBITS)


def _zstd(_body: bytes) -> _Decompressor:
    return ZstdDecompressor(options=_ZSTD_OPTIONS)


_DECOMPRESSORS: dict[str, Callable[[bytes], _Decompressor]] = {"gzip": _gzip, "deflate": _deflate, "zstd": _zstd}
