"""What commands print: tables, times, and what somebody else wrote.  Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

_HIDDEN = "?"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, its cells under those of the row above."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def visible(text: str) -> str:
    """What somebody sent, without what would move a terminal's cursor."""
    return "".join(character if character.isprintable() else _HIDDEN for character in text)


def time_text(time_ms: int) -> str:
    """A time that Kafka has in milliseconds since 1970."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds")
