"""A request's URL and headers, its packing, and errors as ClickHouse words them."""

import base64
import gzip
import zlib
from collections.abc import Mapping

import lz4.frame  # type: ignore[import-untyped]  # lz4 ships no types
import pytest
from backports import zstd
from multidict import CIMultiDict

from deploy.local.clickhouse.codings import PIECE_BYTES, Unpacker, choose_encoding, encoder
from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.protocol import Call, read_call

PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress, "lz4": lz4.frame.compress}


def call(url: Mapping[str, str], headers: Mapping[str, str] | None = None, method: str = "POST") -> Call:
    """A request with these parameters and headers."""
    return read_call(method, url.items(), CIMultiDict(headers or {}))


def refusal(**url: str) -> int:
    """The number of the error that these parameters get."""
    with pytest.raises(ClickHouseError) as refused:
        call(url)
    return refused.value.code


def test_url_when_it_mixes_all_kinds_of_parameters() -> None:
    """The interface's own, the query's parameters and settings are told apart; none is lost."""
    read = call(
        {
            "query": "SELECT {x:Int8}",
            "param_x": "1",
            "max_threads": "2",
            "database": "d",
            "query_id": "q",
            "wait_end_of_query": "1",
            "quota_key": "k",
        }
    )

    assert (read.query, read.database, read.query_id, read.wait_end_of_query) == ("SELECT {x:Int8}", "d", "q", True)
    assert (read.parameters, read.settings) == ({"x": "1"}, {"max_threads": "2"})


def test_headers_when_they_say_the_same_as_the_url() -> None:
    """Database and format of the headers win, whatever the headers' case."""
    read = call(
        {"database": "u", "default_format": "CSV"}, {"x-clickhouse-database": "h", "X-CLICKHOUSE-FORMAT": "JSON"}
    )

    assert (read.database, read.default_format) == ("h", "JSON")


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({"Authorization": "Basic " + base64.b64encode(b"me:a:b").decode()}, {}),
        ({"X-ClickHouse-User": "me", "X-ClickHouse-Key": "a:b"}, {}),
        ({}, {"user": "me", "password": "a:b"}),
    ],
)
def test_credentials_when_they_come_in_each_way(headers: dict[str, str], url: dict[str, str]) -> None:
    """Basic, ClickHouse's headers and the URL say the same; no password shows when it is printed."""
    read = call(url, headers)

    assert (read.user, read.password) == ("me", "a:b")
    assert "a:b" not in repr(read)


def test_request_when_it_asks_for_what_is_not_here() -> None:
    """Block compression, roles, odd settings, formats and timeouts are refused with ClickHouse's own numbers."""
    assert refusal(compress="1") == 48
    assert refusal(decompress="1") == 48
    assert refusal(role="sink") == 512
    assert refusal(**{"max threads": "1"}) == 115
    assert refusal(default_format="JSON'") == 73
    assert refusal(session_id="s", session_timeout="9999") == 374


def test_method_when_it_is_get() -> None:
    """GET makes a request read only, POST does not."""
    assert call({}, method="GET").readonly
    assert not call({}).readonly


def test_answer_encoding_when_the_client_accepts_several() -> None:
    """The order is ClickHouse's; nothing is packed unless enable_http_compression asks for it."""
    accepts = {"Accept-Encoding": "gzip, br;q=0.9, lz4"}

    assert call({"enable_http_compression": "1"}, accepts).encoding == "lz4"
    assert call({}, accepts).encoding is None
    assert choose_encoding("zstd;q=0, identity") is None


@pytest.mark.parametrize("encoding", PACKERS)
def test_body_when_it_is_packed_in_frames_that_follow_each_other(encoding: str) -> None:
    """It unpacks byte for byte, cut anywhere, never more than a piece at a time."""
    content = [b"one" * 1000, b"\0" * (3 * PIECE_BYTES)]
    packed = b"".join(PACKERS[encoding](part) for part in content)
    unpacker = Unpacker(encoding)

    pieces = [piece for cut in range(0, len(packed), 997) for piece in unpacker.feed(packed[cut : cut + 997])]
    unpacker.finish()

    assert b"".join(pieces) == b"".join(content)
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize("encoding", PACKERS)
def test_body_when_it_is_cut_short_or_not_packed(encoding: str) -> None:
    """It is refused, so that half an insert is never inserted."""
    short = Unpacker(encoding)
    list(short.feed(PACKERS[encoding](b"x" * 5000)[:-5]))

    with pytest.raises(ClickHouseError, match="CANNOT_DECOMPRESS"):
        short.finish()
    with pytest.raises(ClickHouseError, match="CANNOT_DECOMPRESS"):
        list(Unpacker(encoding).feed(b"not packed at all"))


@pytest.mark.parametrize("encoding", PACKERS)
def test_answer_when_it_is_packed_in_pieces(encoding: str) -> None:
    """The client's own library unpacks it."""
    packer, unpacker = encoder(encoding), Unpacker(encoding)
    packed = packer.compress(b"head") + packer.compress(b"x" * 100_000) + packer.flush()

    assert b"".join(unpacker.feed(packed)) == b"head" + b"x" * 100_000


def test_error_when_chdb_packs_one_into_another_again_and_again() -> None:
    """The innermost sentence is kept, once, with its number, name and HTTP status."""
    error = ClickHouseError.parse(
        "Code: 159. DB::Exception: Code: 159. DB::Exception: Code: 159. DB::Exception: Timeout exceeded: (1 s). "
        "(TIMEOUT_EXCEEDED) (version 26.9.2.1). (TIMEOUT_EXCEEDED) (version 26.9.2.1). (TIMEOUT_EXCEEDED)"
    )

    assert (error.code, error.name, error.status) == (159, "TIMEOUT_EXCEEDED", 408)
    assert (
        error.text("26.9") == "Code: 159. DB::Exception: Timeout exceeded: (1 s). (TIMEOUT_EXCEEDED) (version 26.9)\n"
    )


def test_error_when_it_has_no_number() -> None:
    """It still reads as ClickHouse's, with status 500."""
    error = ClickHouseError.parse("std::bad_alloc")

    assert (error.code, error.status) == (1001, 500)
