"""Dead letters: the raw record as it is, and why it could not be normalized.  Pure."""

from schemas.errors import InvalidEvent
from schemas.topics import (
    DEAD_LETTER_HEADERS,
    DETAIL,
    FIELD,
    MAX_RECORD_BYTES,
    RAW_OFFSET,
    RAW_PARTITION,
    REASON,
)
from stream.records import RawRecord, Record, size_bytes

MAX_DETAIL_CHARACTERS = 500
NOT_COPIED = "The raw record is too large to be copied: read it at raw_partition and raw_offset."


def dead_letter(record: RawRecord, error: InvalidEvent) -> Record:
    """The raw record as it is, and why it could not be normalized.

    Where a copy would exceed MAX_RECORD_BYTES its value is left out, then its key and headers too; the detail says so.
    """
    raw = [(name, value) for name, value in record.headers if name not in DEAD_LETTER_HEADERS]
    letter = Record(record.key, record.value, [*raw, *_explanation(record, error, error.message)])
    if size_bytes(letter) <= MAX_RECORD_BYTES:
        return letter
    explanation = _explanation(record, error, f"{error.message[: MAX_DETAIL_CHARACTERS // 2]} {NOT_COPIED}")
    letter = Record(record.key, None, [*raw, *explanation])
    return letter if size_bytes(letter) <= MAX_RECORD_BYTES else Record(None, None, explanation)


def _explanation(record: RawRecord, error: InvalidEvent, detail: str) -> list[tuple[str, bytes | None]]:
    return [
        (REASON, error.code.value.encode()),
        (FIELD, (error.field or "").encode()),
        (DETAIL, detail[:MAX_DETAIL_CHARACTERS].encode(errors="replace")),
        (RAW_PARTITION, b"%d" % record.partition),
        (RAW_OFFSET, b"%d" % record.offset),
    ]
