"""Avro's bytes of numbers and texts, without a schema being looked at for each.

Source: Avro 1.12 specification, "Binary Encoding".
"""

NULL = b"\x00"
"""The first branch of `["null", T]`."""
PRESENT = b"\x02"
"""Its second branch; the value follows."""

_TWO_GROUPS = 1 << 14
# Eight bytes: microseconds of our days are such numbers.
_TIMES = 1 << 42, 1 << 56


def _short(number: int) -> bytes:
    return bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80, number >> 7))


_SHORT = tuple(_short(number) for number in range(_TWO_GROUPS))
# The same numbers, with more to follow.
_PAIR = tuple(bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(_TWO_GROUPS))


def long_bytes(number: int) -> bytes:
    """A long, of at most 64 bits: zigzag, then groups of seven bits, lowest first."""
    rest = number << 1 if number >= 0 else ~(number << 1)
    if rest < _TWO_GROUPS:
        return _SHORT[rest]
    if _TIMES[0] <= rest < _TIMES[1]:
        return _PAIR[rest & 0x3FFF] + _PAIR[rest >> 14 & 0x3FFF] + _PAIR[rest >> 28 & 0x3FFF] + _SHORT[rest >> 42]
    out = b""
    while rest >= _TWO_GROUPS:
        out += _PAIR[rest & 0x3FFF]
        rest >>= 14
    return out + _SHORT[rest]


def with_length(content: bytes) -> bytes:
    """Text or bytes behind their length."""
    return long_bytes(len(content)) + content


# What most fields of most events hold, ready.
_PRESENT_LONG = tuple(PRESENT + long_bytes(number) for number in range(_TWO_GROUPS >> 1))


def present_long(number: int) -> bytes:
    """A long that may be null, and is not."""
    return _PRESENT_LONG[number] if 0 <= number < 8192 else PRESENT + long_bytes(number)


def present_text(content: bytes) -> bytes:
    """Text or bytes that may be null, and are not."""
    size = len(content)
    return (_PRESENT_LONG[size] if size < 8192 else PRESENT + long_bytes(size)) + content
