"""A normalized record out of its parts: the envelope, the discards, the typed fields, one behind the other (ADR 6)."""

from collections.abc import Sequence

from schemas.topics import DISCARDS, ENVELOPE_BYTES, TYPED_BYTES
from schemas.values.avro_bytes import long_bytes, with_length
from schemas.values.coerce import Discard

_END_OF_BLOCKS = b"\x00"


def join(
    wire_header: bytes, envelope: bytes, discards: Sequence[Discard], typed: bytes | None
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The value, and the headers that say where to cut it.

    Args:
        wire_header: of the value's schema.
        envelope: its body.
        discards: what did not fit.
        typed: the bytes of the typed fields, where a schema wrote them.
    """
    headers = [(ENVELOPE_BYTES, b"%d" % len(envelope)), (DISCARDS, b"%d" % len(discards))]
    if typed is not None:
        headers.append((TYPED_BYTES, b"%d" % len(typed)))
    return b"".join((wire_header, envelope, _array(discards), typed or b"")), headers


def _array(discards: Sequence[Discard]) -> bytes:
    if not discards:
        return _END_OF_BLOCKS
    texts = [with_length(text.encode()) for discard in discards for text in discard]
    return long_bytes(len(discards)) + b"".join(texts) + _END_OF_BLOCKS
