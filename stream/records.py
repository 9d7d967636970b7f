"""Records as the stream reads and writes them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

RawHeaders = Sequence[tuple[str, bytes | None]]


class RawRecord(Protocol):
    """A record of the raw topic, as aiokafka reads it."""

    @property
    def key(self) -> bytes | None:
        """What chose the partition."""

    @property
    def value(self) -> bytes | None:
        """The event's bytes as posted."""

    @property
    def headers(self) -> RawHeaders:
        """What the ingress knows about the event."""

    @property
    def partition(self) -> int:
        """Partition of the raw topic."""

    @property
    def offset(self) -> int:
        """Offset in it."""

    @property
    def timestamp(self) -> int:
        """When Kafka took it, in milliseconds since 1970."""


class Record(NamedTuple):
    """A record to produce, to the partition that its raw record came from."""

    key: bytes | None
    value: bytes | None
    headers: RawHeaders


def size_bytes(record: Record) -> int:
    """Of its key, its value and its headers together."""
    headers = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
