"""What Schemathesis must be told to send what the document means."""

import gzip
import json
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import schemathesis
from backports import zstd
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}

# The document says in words which years are taken: JSON Schema has none for that.
schemathesis.openapi.format(
    "date-time",
    st.datetimes(datetime(1901, 1, 1), datetime(2298, 12, 31)).map(lambda time: f"{time.isoformat()}Z"),  # noqa: DTZ001
)


@schemathesis.serializer("application/json")
def as_json(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """JSON, in the coding that the request's head names."""
    return _coded(context, _json(value))


@schemathesis.serializer("text/plain")
def as_text(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """JSON that is called text, as browsers send it."""
    return _coded(context, _json(value))


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Each value of the array is a line."""
    items = value if isinstance(value, list) else [value]
    return _coded(context, b"\n".join(map(_json, items)))


@schemathesis.check
def tells_what_is_bad(
    _context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> bool | None:
    """A batch that violates the schema is not a success, even where some of its events are accepted."""
    body = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    if response.status_code == 200 and case.path in {"/v1/batch", "/v1/b"} and body and body.mode.is_negative:
        assert response.json()["success"] is False
    return None


def _json(value: Any) -> bytes:
    # Bytes are no JSON, on purpose.
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _coded(context: schemathesis.SerializationContext, body: bytes) -> bytes:
    coding = dict(context.case.headers or {}).get("Content-Encoding", "")
    return COMPRESS.get(str(coding), bytes)(body)
