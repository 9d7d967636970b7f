"""The form of records on disk: frames, one after the other.  Pure.

A frame is what was acknowledged together: its length, its number of records, the CRC-32 of its content and that of
these three (4 bytes each, big endian), then the content: the records in MessagePack.
Invariant: a file that a killed process left decodes to all that was acknowledged.
"""

import struct
from collections.abc import Sequence
from enum import Enum, auto
from zlib import crc32

import msgspec

from ingress.envelope import RawRecord

_FIELDS = struct.Struct(">III")
_SUM = struct.Struct(">I")
_HEAD_BYTES = _FIELDS.size + _SUM.size
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[RawRecord]).decode


class Ending(Enum):
    """How the frames of a file end."""

    WHOLE = auto()
    TORN = auto()
    """In the middle of one, as a killed process leaves it; that one was never acknowledged."""
    DAMAGED = auto()
    """With bytes that no process of ours left so; there may have been acknowledged records in them."""


def encode(records: Sequence[RawRecord]) -> bytes:
    """One frame."""
    content = _encode(records)
    fields = _FIELDS.pack(len(content), len(records), crc32(content))
    return fields + _SUM.pack(crc32(fields)) + content


def decode(file: bytes) -> tuple[list[RawRecord], Ending]:
    """The records of all whole frames from the beginning on, and what comes after those."""
    records: list[RawRecord] = []
    at = 0
    while at < len(file):
        head = _head(file, at)
        if isinstance(head, Ending):
            return records, head
        length, _, checksum = head
        content = file[at + _HEAD_BYTES : at + _HEAD_BYTES + length]
        if len(content) < length:
            return records, Ending.TORN
        if crc32(content) != checksum:
            return records, Ending.DAMAGED
        try:
            records += _decode(content)
        except msgspec.MsgspecError:
            return records, Ending.DAMAGED
        at += _HEAD_BYTES + length
    return records, Ending.WHOLE


def count(file: bytes) -> int:
    """The number of records, by the heads of the frames alone."""
    records = at = 0
    while at < len(file) and not isinstance(head := _head(file, at), Ending):
        at += _HEAD_BYTES + head[0]
        records += head[1] if at <= len(file) else 0
    return records


def _head(file: bytes, at: int) -> tuple[int, int, int] | Ending:
    """Length, number of records and sum of the content of the frame that begins here."""
    fields = file[at : at + _FIELDS.size]
    checksum = file[at + _FIELDS.size : at + _HEAD_BYTES]
    if len(checksum) < _SUM.size:
        return Ending.TORN
    if _SUM.unpack(checksum) != (crc32(fields),):
        return Ending.DAMAGED
    length, records, content_checksum = _FIELDS.unpack(fields)
    return length, records, content_checksum
