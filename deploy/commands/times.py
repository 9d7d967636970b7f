"""Durations and times on the command line."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """A duration as it is typed: 30m, 1h, 7d."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} must be a number and one of s, m, h, d: 30m, 1h, 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def moment(text: str) -> datetime:
    """A time as it is typed; UTC where it names no zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} must be a time such as 2026-11-23T10:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def milliseconds(time: datetime | None) -> int | None:
    """Milliseconds since 1970, as Kafka has times."""
    return None if time is None else max(0, round(time.timestamp() * 1_000))
