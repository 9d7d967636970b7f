"""LZ4 as aiokafka's producers pack it."""

import sys

import pytest
from aiokafka.codec import lz4_encode
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from schemas.compressing import FASTEST, fast_lz4

LZ4 = 3
HEAD_BYTES = 61
"""Of a batch of records, before what is packed."""
VALUE = b"".join(b'{"event":"Purchased an Item","properties":{"sku":%d}}' % (number * number) for number in range(99))


def batch(compression: int) -> bytes:
    """A batch of one record, as it goes to Kafka."""
    builder = BatchBuilder(1 << 20, compression)
    builder.append(timestamp=0, key=b"acme/7", value=VALUE, headers=[("team", b"acme")])
    return bytes(builder._build())


def test_batch_is_packed_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the level that takes least time, and as every client reads it."""
    module = sys.modules[DefaultRecordBatchBuilder.__module__]
    monkeypatch.setattr(module, "lz4_encode", lz4_encode)
    plain, thorough = batch(0)[HEAD_BYTES:], batch(LZ4)

    name = fast_lz4()

    packed = batch(LZ4)
    assert name == "lz4"
    assert packed[HEAD_BYTES:] == lz4_encode(plain, FASTEST) != thorough[HEAD_BYTES:]
    records = MemoryRecords(packed).next_batch()
    assert records is not None
    assert [record.value for record in records] == [VALUE]
