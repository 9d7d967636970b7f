"""Avro bytes."""

import io

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.codec import ENVELOPE_CONTAINER, decode_envelope, encode_envelope

EVENT = {
    "event_id": "018f0000-0000-7000-8000-000000000001",
    "team": "acme",
    "event": "Purchased an Item",
    "kind": "event",
    "occurred_at": 1_354_408_208_276_000,
    "received_at": 1_354_408_209_000_000,
    "raw_partition": 3,
    "raw_offset": 42,
}


def test_envelope_when_encoded() -> None:
    """Behind the wire format's header an envelope comes back as it went in, defaults filled."""
    decoded = decode_envelope(b"\x00\x00\x00\x00\x01" + encode_envelope(EVENT))

    assert (decoded["raw_offset"], decoded["user_id"], decoded["properties_json"]) == (42, "", "{}")
    assert decoded["occurred_at"].isoformat() == "2012-12-02T00:30:08.276000+00:00"


@pytest.mark.parametrize("value", [b"", b"\x00\x00\x00", b"\x01\x00\x00\x00\x01body", b"{}"])
def test_schema_id_when_not_wire_format(value: bytes) -> None:
    """A value that nobody's Confluent serializer wrote is a ValueError."""
    with pytest.raises(ValueError, match="not in Confluent wire format"):
        codec.schema_id(value)


@given(st.lists(st.integers(min_value=0, max_value=1 << 60), max_size=200))
def test_container_when_built_around_bodies(offsets: list[int]) -> None:
    """An independent Avro reader finds every row of a container in order, under the column's names."""
    bodies = [encode_envelope(EVENT | {"raw_offset": offset}) for offset in offsets]

    rows = list(fastavro.reader(io.BytesIO(ENVELOPE_CONTAINER.build(bodies))))

    assert [row["_raw_offset"] for row in rows if isinstance(row, dict)] == offsets
