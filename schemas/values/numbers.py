"""Numbers, exactly: JSON's text into integers, doubles and decimals, or a misfit; nothing is ever rounded.

A number with a point or an exponent comes here as the bytes of its text, which is the only exact form that it has.
"""

import re
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow

MAX_LONG_DIGITS = 19
MAX_DECIMAL_DIGITS = 38
MAX_EXACT_INTEGER = 1 << 53
"""Up to here a double holds each whole number."""

_is_number = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII).fullmatch
_EXACT = Context(prec=100_000, Emax=999_999, Emin=-999_999, traps=[Inexact, InvalidOperation, Overflow])
# A double tells any two texts of so many digits apart, in the middle of its range.
_SAFE_CHARACTERS = 15
_LEAST_SAFE, _MOST_SAFE = 1e-290, 1e290


class Misfit(ValueError):
    """A value cannot be of the type that is wanted; the message says why."""


def exact(value: object) -> Decimal:
    """The number that a JSON number or a string says.

    Raises:
        Misfit: where it is none.
    """
    if type(value) is int:
        return Decimal(value)
    text = value.decode() if isinstance(value, bytes) else value
    if not isinstance(text, str) or not _is_number(text):
        raise Misfit("is no number")
    try:
        return _EXACT.create_decimal(text)
    except DecimalException as error:
        raise Misfit("has an exponent or more digits than can be looked at") from error


def whole(value: object) -> int:
    """A whole number of at most 64 bits: 5, "5", 5.0.

    Raises:
        Misfit: where it is none.
    """
    if type(value) is str and len(value) < MAX_LONG_DIGITS and value.isascii() and value.isdigit():
        return int(value)
    if type(value) is not int:
        number = exact(value)
        if not number:
            return 0
        if number.adjusted() >= MAX_LONG_DIGITS:
            raise Misfit("does not fit into 64 bits")
        if not is_whole(number):
            raise Misfit("is no whole number")
        value = int(number)
    if not -(1 << 63) <= value < 1 << 63:
        raise Misfit("does not fit into 64 bits")
    return value


def times(number: Decimal, factor: int) -> Decimal:
    """A product of which no digit is lost."""
    return _EXACT.multiply(number, factor)


def is_whole(number: Decimal) -> bool:
    """Whether there is nothing behind its point."""
    return number == number.to_integral_value()


def double(value: object) -> float:
    """A double that is the number as it was written.

    A text with more digits than a double tells apart fits where they are the double's own; a whole number up to 2^53.

    Raises:
        Misfit: where there is none.
    """
    if type(value) is not bytes:
        if type(value) is int:
            if -MAX_EXACT_INTEGER <= value <= MAX_EXACT_INTEGER:
                return float(value)
            raise Misfit("is a whole number beyond 2^53, which a double may round")
        if type(value) is not str or not _is_number(value):
            raise Misfit("is no number")
        if len(value) > _SAFE_CHARACTERS and value.lstrip("+-").isdigit():
            return double(whole(value))
    number = float(value)
    if len(value) <= _SAFE_CHARACTERS and _LEAST_SAFE < abs(number) < _MOST_SAFE:
        return number
    return _checked(number, exact(value))


def _checked(number: float, wanted: Decimal) -> float:
    """The double, where it is what was written, to as many digits as were written."""
    if number in {float("inf"), float("-inf")}:
        raise Misfit("exceeds the range of a double")
    digits = len(wanted.as_tuple().digits)
    # The shortest text of a double, as programs print it, need not be the nearest one: 2^-24 is 5.960464477539063e-08.
    if wanted and wanted not in {Decimal(repr(number)), Context(prec=digits).create_decimal(number)}:
        raise Misfit("has more digits than a double holds")
    return number


def unscaled(value: object, scale: int) -> int:
    """A decimal with so many digits after its point, times 10^scale.

    Raises:
        Misfit: where it has more digits there, or more than 38 in all.
    """
    if type(value) is bytes:
        units, _, fraction = value.partition(b".")
        if len(value) < MAX_LONG_DIGITS and len(fraction) <= scale and fraction.isdigit():
            return int(units + fraction) * int(10 ** (scale - len(fraction)))
    number = exact(value)
    if not number:
        return 0
    if number.adjusted() + scale >= MAX_DECIMAL_DIGITS:
        raise Misfit(f"has more than {MAX_DECIMAL_DIGITS} digits")
    scaled = number.scaleb(scale, _EXACT)
    if not is_whole(scaled):
        raise Misfit(f"has more than {scale} digits after the point")
    return int(scaled)
