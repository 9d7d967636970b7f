"""Content-Encoding: what bodies of requests come in, and what answers go out in.

Invariant: unpacking gives pieces of bounded size, however far a small body blows up.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import lz4.frame  # type: ignore[import-untyped]  # lz4 ships no types; what is used of it is cast here
from backports import zstd

from deploy.local.clickhouse.errors import ClickHouseError

PIECE_BYTES = 1 << 20

# In the order in which ClickHouse itself chooses among what the client takes.
ENCODINGS = ("zstd", "lz4", "gzip", "deflate")


class Encoder(Protocol):
    """Packs an answer as it streams."""

    def compress(self, piece: bytes) -> bytes:
        """Pack a piece; may hold back some."""

    def flush(self) -> bytes:
        """Whatever was held back, and the end mark."""


class _Decoder(Protocol):
    """What zlib's, lz4's and zstd's decompressors share, once _Zlib has smoothed zlib's over."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, piece: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """zlib's decompressor with the face of the others: it keeps what it has not unpacked."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)
        self._filled = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail and not self._filled

    def decompress(self, piece: bytes, max_length: int) -> bytes:
        unpacked = self._inner.decompress(self._inner.unconsumed_tail + piece, max_length)
        self._filled = len(unpacked) == max_length
        return unpacked


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "zstd": zstd.ZstdDecompressor,
    "lz4": lambda: cast("_Decoder", lz4.frame.LZ4FrameDecompressor()),
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
}


class Unpacker:
    """Unpacks a body as it arrives; frames that follow each other are one body."""

    def __init__(self, encoding: str) -> None:
        if encoding and encoding not in _DECODERS:
            raise ClickHouseError(
                89, "UNKNOWN_COMPRESSION_METHOD", f"Content-Encoding {encoding} is not one of {', '.join(ENCODINGS)}"
            )
        self._encoding = encoding
        self._decoder: _Decoder | None = None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What this piece unpacks to, in pieces of at most PIECE_BYTES.

        Raises:
            ClickHouseError: 271, it is not what Content-Encoding says.
        """
        if not self._encoding:
            yield piece
            return
        while True:
            decoder = self._decoder or _DECODERS[self._encoding]()
            self._decoder = decoder
            try:
                unpacked = decoder.decompress(piece, PIECE_BYTES)
            except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as error:
                raise self._broken(str(error)) from error
            if unpacked:
                yield unpacked
            piece = decoder.unused_data if decoder.eof else b""
            if decoder.eof:
                self._decoder = None
            if not piece and (decoder.eof or decoder.needs_input):
                return

    def finish(self) -> None:
        """Check that the last frame has ended.

        Raises:
            ClickHouseError: 271, the body is cut short.
        """
        if self._decoder is not None:
            raise self._broken("it ends too early")

    def _broken(self, reason: str) -> ClickHouseError:
        return ClickHouseError(
            271, "CANNOT_DECOMPRESS", f"The body is not {self._encoding}, as its Content-Encoding says: {reason}"
        )


def choose_encoding(accepted: str) -> str | None:
    """The encoding of the answer for an Accept-Encoding, None for none."""
    offered = {part.split(";")[0].strip().lower() for part in accepted.split(",") if "q=0" not in part.split(";")[1:]}
    return next((encoding for encoding in ENCODINGS if encoding in offered), None)


def encoder(encoding: str) -> Encoder:
    """A new encoder of this encoding."""
    if encoding == "gzip":
        return cast("Encoder", zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16))
    if encoding == "deflate":
        return cast("Encoder", zlib.compressobj(1))
    if encoding == "zstd":
        return cast("Encoder", zstd.ZstdCompressor(level=1))
    return _Lz4()


class _Lz4:
    """lz4's frame compressor, which wants to be told where it begins."""

    def __init__(self) -> None:
        self._inner: Any = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, piece: bytes) -> bytes:
        head = b"" if self._begun else cast("bytes", self._inner.begin())
        self._begun = True
        return head + cast("bytes", self._inner.compress(piece))

    def flush(self) -> bytes:
        head = b"" if self._begun else cast("bytes", self._inner.begin())
        return head + cast("bytes", self._inner.flush())
