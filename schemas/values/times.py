"""Times from what senders write: RFC 3339, dates, and numbers of seconds, milliseconds or microseconds since 1970.

What a number counts is told by its size: below 1e11 seconds, below 1e14 milliseconds, above microseconds.  So numbers
of milliseconds are read as such from March 1973 on, and whatever is read lies from 1900 to 2299.
"""

import re
from datetime import date
from functools import lru_cache

from schemas.values.numbers import Misfit, exact, is_whole, times

SECONDS_BELOW = 10**11
MILLISECONDS_BELOW = 10**14
EARLIEST_MICROS = -2_208_988_800_000_000
"""1900-01-01, where ClickHouse's columns of times begin."""
END_MICROS = 10_413_792_000_000_000
"""2300-01-01, where they have ended."""
DAY_MICROS = 86_400_000_000

_FIRST_DAY = date(1970, 1, 1).toordinal()
_is_date = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
_is_clock = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d", re.ASCII).fullmatch
_behind_seconds = re.compile(r"(?:\.(\d{1,6})(\d*))?([Zz]|[+-]\d\d:[0-5]\d)?", re.ASCII).fullmatch
_DAY_SECONDS = 86_400
_DATE_CHARACTERS = 10
_UTC = frozenset({"Z", "z"})
_BETWEEN = frozenset({"T", "t", " "})


def micros(value: object) -> int:
    """A time in microseconds since 1970.

    Raises:
        Misfit: where it is none, lacks a zone, is finer than a microsecond, or lies outside 1900 to 2299.
    """
    if type(value) is int:
        size = abs(value)
        found = value * 1_000 if SECONDS_BELOW <= size < MILLISECONDS_BELOW else value * _unit_micros(size)
    elif type(value) is str and value[4:5] == "-":
        found = _ordinal(value) * DAY_MICROS if len(value) == _DATE_CHARACTERS else _rfc3339(value)
    elif isinstance(value, str | bytes):
        number = exact(value)
        if abs(number) >= END_MICROS:
            raise Misfit("lies outside 1900 to 2299")
        scaled = times(number, _unit_micros(int(abs(number))))
        if not is_whole(scaled):
            raise Misfit("is finer than a microsecond")
        found = int(scaled)
    else:
        raise Misfit("is no time")
    if EARLIEST_MICROS <= found < END_MICROS:
        return found
    raise Misfit("lies outside 1900 to 2299")


def days(value: object) -> int:
    """A day, counted from 1970-01-01; a time is one at midnight UTC.

    Raises:
        Misfit: where it is none, or lies outside 1900 to 2299.
    """
    if type(value) is str and _is_date(value):
        found = _ordinal(value)
        if EARLIEST_MICROS <= found * DAY_MICROS < END_MICROS:
            return found
        raise Misfit("lies outside 1900 to 2299")
    found, rest = divmod(micros(value), DAY_MICROS)
    if rest:
        raise Misfit("is no day, but a time of one")
    return found


def _unit_micros(size: int) -> int:
    if size < SECONDS_BELOW:
        return 1_000_000
    return 1_000 if size < MILLISECONDS_BELOW else 1


def _rfc3339(text: str) -> int:
    seconds, found = _seconds(text[:19]), _behind_seconds(text, 19)
    if found is None:
        raise Misfit("is no RFC 3339 time")
    fraction, finer, zone = found.groups()
    if zone is None:
        raise Misfit("has no time zone, such as Z or +01:00")
    if finer and finer.strip("0"):
        raise Misfit("is finer than a microsecond")
    if zone not in _UTC:
        ahead = int(zone[1:3]) * 3_600 + int(zone[4:]) * 60
        seconds += ahead if zone[0] == "-" else -ahead
    return seconds * 1_000_000 + (int(fraction.ljust(6, "0")) if fraction else 0)


# Events are sent in about the order of their times, so that few days and seconds come again and again.
@lru_cache(maxsize=4096)
def _seconds(text: str) -> int:
    """A time without fraction and zone, in seconds since 1970 as if it were UTC."""
    if text[10:11] not in _BETWEEN:
        raise Misfit("is no RFC 3339 time")
    return _ordinal(text[:10]) * _DAY_SECONDS + _clock_seconds(text[11:])


@lru_cache(maxsize=4096)
def _ordinal(day: str) -> int:
    """A day of the calendar, counted from 1970-01-01."""
    if not _is_date(day):
        raise Misfit("is no RFC 3339 time")
    try:
        return date.fromisoformat(day).toordinal() - _FIRST_DAY
    except ValueError as error:
        raise Misfit("is no day of the calendar") from error


def _clock_seconds(clock: str) -> int:
    """The seconds of a day; 60 as a leap second is written is none of its own here."""
    if not _is_clock(clock):
        raise Misfit("is no time of a day")
    return int(clock[:2]) * 3_600 + int(clock[3:5]) * 60 + int(clock[6:])
