"""Bodies and their compression."""

import gzip
import zlib
from contextlib import suppress

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from ingress.body import MAX_MEMBERS, check_encoding, decompress
from schemas.errors import ErrorCode, InvalidEvent

LIMIT = 1000


def compressed(body: bytes, encoding: str) -> bytes:
    """The body in a coding."""
    if encoding == "gzip":
        return gzip.compress(body)
    return zlib.compress(body) if encoding == "deflate" else zstd.compress(body)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@given(body=st.binary(max_size=LIMIT))
def test_body_when_compressed(encoding: str, body: bytes) -> None:
    """Every body up to the limit comes back as it was."""
    assert decompress(compressed(body, encoding), encoding, LIMIT) == body


def test_body_when_deflate_lacks_its_header() -> None:
    """The bare deflate stream, which some clients send, is read as well."""
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)

    assert decompress(bare.compress(b"abc") + bare.flush(), "deflate", LIMIT) == b"abc"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_body_when_in_several_parts(encoding: str) -> None:
    """Members and frames that follow each other are one body."""
    parts = compressed(b"abc", encoding) + compressed(b"", encoding) + compressed(b"def", encoding)

    assert decompress(parts, encoding, LIMIT) == b"abcdef"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("size", [LIMIT + 1, 50_000_000])
def test_refusal_when_too_large_decompressed(encoding: str, size: int) -> None:
    """The limit holds for the plain bytes; a bomb is not unpacked."""
    with pytest.raises(InvalidEvent) as refusal:
        decompress(compressed(bytes(size), encoding), encoding, LIMIT)

    assert refusal.value.code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda _body: b"{}",
        lambda body: body[:-1],
        lambda body: body[: len(body) // 2],
        lambda body: body + b"{}",
    ],
    ids=["plain", "one byte short", "half", "more behind it"],
)
def test_refusal_when_not_of_its_coding(encoding: str, damage: object) -> None:
    """A body that is not wholly of its coding is refused, not taken in part."""
    assert callable(damage)
    with pytest.raises(InvalidEvent) as refusal:
        decompress(damage(compressed(b"abc" * 10, encoding)), encoding, LIMIT)

    assert refusal.value.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@given(body=st.binary(min_size=1, max_size=100))
def test_refusal_when_arbitrary_bytes(encoding: str, body: bytes) -> None:
    """Arbitrary bytes are refused or read; no other error escapes."""
    with suppress(InvalidEvent):
        assert len(decompress(body, encoding, LIMIT)) <= LIMIT


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_refusal_when_all_members_are_tiny(encoding: str) -> None:
    """So many that each costs a copy of the rest are refused at once; as many as a log has are read."""
    assert decompress(compressed(b"a", encoding) * MAX_MEMBERS, encoding, LIMIT) == b"a" * MAX_MEMBERS

    with pytest.raises(InvalidEvent) as refusal:
        decompress(compressed(b"", encoding) * 50_000, encoding, LIMIT)

    assert refusal.value.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "gzip,", "", "compress", "gzip\udcff"])
def test_refusal_when_coding_is_unknown(header: str) -> None:
    """Only one of our codings is taken, and only once."""
    with pytest.raises(InvalidEvent) as refusal:
        check_encoding(header)

    assert refusal.value.code is ErrorCode.UNSUPPORTED_ENCODING
    assert check_encoding(" GZIP ") == "gzip"
