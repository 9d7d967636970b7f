"""How hard records are compressed on their way into Kafka.

aiokafka packs LZ4 at level 9, and has no option for that (its issue 1028): events take five to ten times as long as at
level 1, and a tenth to a seventh less space.
"""

import sys
from functools import partial

from aiokafka.codec import lz4_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder

FASTEST = 1


def fast_lz4() -> str:
    """What a producer is to be told as its `compression_type`; from now on all of this process pack LZ4 like that."""
    # In C or in Python, whichever aiokafka was built with.
    builder = sys.modules[DefaultRecordBatchBuilder.__module__]
    builder.lz4_encode = partial(lz4_encode, level=FASTEST)  # type: ignore[attr-defined]  # it has one
    return "lz4"
