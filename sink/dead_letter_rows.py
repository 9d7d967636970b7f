"""Dead letters as rows of `warehouse.dead_letters`, in ClickHouse's RowBinary.  Pure.

Whatever lies in the topic, and whoever wrote it, becomes a row: what is no number, no time or no team is absent there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from struct import pack
from typing import Annotated, Protocol

import msgspec

from schemas import topics
from schemas.ddl import is_team_slug
from schemas.events import to_micros

COLUMNS = (
    *("team", "event_id", "reason", "field", "detail", "format", "token_id", "received_at", "key", "value"),
    *("written_at", "_raw_partition", "_raw_offset", "_partition", "_offset"),
)
"""Of each row, in this order; the others follow from these."""

_TEXTS = (topics.EVENT_ID, topics.REASON, topics.FIELD, topics.DETAIL, topics.FORMAT, topics.TOKEN_ID)
_NULL, _HERE = b"\x01", b"\x00"
_AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
# What DateTime64 holds, and what of it a month's part is named after.
_YEARS = range(1900, 2299)
_LATEST_MILLISECONDS = to_micros(datetime(2299, 1, 1, tzinfo=UTC)) // 1_000 - 1


class Record(Protocol):
    """A record of `events.dead_letter`, as the Kafka client gives it."""

    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...  # noqa: D102


@dataclass(slots=True)
class Letters:
    """What one insert takes.

    Attributes:
        database: the warehouse's name, which names no team.
        ends: for each partition, the offset behind its last record.
    """

    database: str
    rows: list[bytes] = field(default_factory=list)
    bytes: int = 0
    teams: set[str] = field(default_factory=set)
    ends: dict[int, int] = field(default_factory=dict)

    def add(self, records: Collection[Record]) -> None:
        """Take more records; of one partition they come in order."""
        for record in records:
            headers = dict(record.headers)
            team = _team(headers.get(topics.TEAM), self.database)
            self.rows.append(row := _row(record, team, headers))
            self.bytes += len(row)
            self.ends[record.partition] = record.offset + 1
            if team:
                self.teams.add(team)


def _row(record: Record, team: str, headers: Mapping[str, bytes | None]) -> bytes:
    return b"".join(
        [
            _string(team.encode()),
            *(_string(headers.get(name) or b"") for name in _TEXTS),
            _nullable(_micros(headers.get(topics.RECEIVED_AT)), "<q"),
            *(_NULL if text is None else _HERE + _string(text) for text in (record.key, record.value)),
            pack("<q", min(max(record.timestamp, 0), _LATEST_MILLISECONDS)),
            _nullable(_number(headers.get(topics.RAW_PARTITION), 32), "<I"),
            _nullable(_number(headers.get(topics.RAW_OFFSET), 64), "<Q"),
            pack("<IQ", record.partition, record.offset),
        ]
    )


def _string(text: bytes) -> bytes:
    """Its length in LEB128, then its bytes."""
    length, prefix = len(text), bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + text


def _nullable(number: int | None, layout: str) -> bytes:
    return _NULL if number is None else _HERE + pack(layout, number)


def _team(header: bytes | None, database: str) -> str:
    team = (header or b"").decode(errors="replace")
    return team if is_team_slug(team) and team != database else ""


def _number(header: bytes | None, bits: int) -> int | None:
    if header is None or not header.isdigit() or len(header) > 20 or (number := int(header)) >> bits:
        return None
    return number


def _micros(header: bytes | None) -> int | None:
    try:
        time = msgspec.convert((header or b"").decode(), _AwareTime)
    except (msgspec.ValidationError, UnicodeDecodeError):
        return None
    return to_micros(time) if time.year in _YEARS else None
