"""The answer: the head of a result decides the status, the rest streams.

Invariant: a result that fails before its first MiB is out answers with the error's own status; one that fails later
carries ClickHouse's exception block and ends without its last chunk, so that no client takes it for whole.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator

from aiohttp import web

from deploy.local.clickhouse.codings import Encoder, encoder
from deploy.local.clickhouse.engine import Result
from deploy.local.clickhouse.errors import ClickHouseError

_THREAD_BYTES = 1 << 16
_MIME = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNamesAndTypes": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONStrings": "application/json; charset=UTF-8",
    "JSONColumns": "application/json; charset=UTF-8",
    "JSONColumnsWithMetadata": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "RowBinaryWithNamesAndTypes": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "Avro": "application/octet-stream",
    "XML": "application/xml; charset=UTF-8",
}


def headers(query_id: str, output_format: str | None, timezone: str, host: str) -> dict[str, str]:
    """The headers of every answer to a statement; one without output names no format."""
    found = {
        "Content-Type": _MIME.get(output_format or "", "text/plain; charset=UTF-8"),
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Timezone": timezone,
        "X-ClickHouse-Server-Display-Name": host,
    }
    return found | ({"X-ClickHouse-Format": output_format} if output_format else {})


def summary(result: Result | None, elapsed_seconds: float) -> str:
    """X-ClickHouse-Summary; zeros while the query still runs."""
    done = result or Result(b"", 0, 0, 0, 0, 0)
    figures = {
        "read_rows": done.read_rows,
        "read_bytes": done.read_bytes,
        "written_rows": done.written_rows,
        "written_bytes": done.written_bytes,
        "total_rows_to_read": 0,
        "result_rows": done.result_rows or done.written_rows,
        "result_bytes": len(done.output) or done.written_bytes,
        "elapsed_ns": int(elapsed_seconds * 1e9),
    }
    return json.dumps({name: str(value) for name, value in figures.items()}, separators=(",", ":"))


def failure(error: ClickHouseError, version: str, common: dict[str, str]) -> web.Response:
    """The answer to a query that failed before anything of its result went out."""
    return web.Response(
        status=error.status,
        body=error.text(version).encode(),
        headers={
            **common,
            "Content-Type": "text/plain; charset=UTF-8",
            "X-ClickHouse-Exception-Code": str(error.code),
        },
    )


async def whole(body: bytes, common: dict[str, str], encoding: str | None) -> web.Response:
    """The answer whose result is all there."""
    if encoding:
        packer = encoder(encoding)
        body = await _packed(packer, body) + packer.flush()
        common["Content-Encoding"] = encoding
    return web.Response(body=body, headers=common)


async def streamed(
    request: web.Request,
    pieces: AsyncIterator[bytes],
    common: dict[str, str],
    encoding: str | None,
    version: str,
) -> web.StreamResponse:
    """Send pieces as they come; the iterator raises ClickHouseError where the query fails on the way."""
    tag = secrets.token_hex(8)
    response = web.StreamResponse(headers={**common, "X-ClickHouse-Exception-Tag": tag})
    packer = encoder(encoding) if encoding else None
    if encoding:
        response.headers["Content-Encoding"] = encoding
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        async for piece in pieces:
            if packed := await _packed(packer, piece):
                await response.write(packed)
        if packer and (rest := packer.flush()):
            await response.write(rest)
    except ClickHouseError as error:
        block = exception_block(error, version, tag)
        await response.write(packer.compress(block) + packer.flush() if packer else block)
        if request.transport:
            request.transport.close()  # no last chunk: what went out is not the whole result
        return response
    await response.write_eof()
    return response


def exception_block(error: ClickHouseError, version: str, tag: str) -> bytes:
    """What stands in a result that breaks off (ClickHouse 25.11 and later)."""
    text = error.text(version).encode()
    return b"__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())


async def _packed(packer: Encoder | None, piece: bytes) -> bytes:
    if packer is None:
        return piece
    if len(piece) < _THREAD_BYTES:
        return packer.compress(piece)
    return await asyncio.to_thread(packer.compress, piece)
