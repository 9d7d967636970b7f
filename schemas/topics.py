"""Topics, consumer groups and record headers: the published contract of what lies in Kafka.

A record keeps its partition number from `events.raw` through `events.normalized`, `events.dead_letter` and the teams'
own topics, so all of these have the same number of partitions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

Headers = list[tuple[str, bytes]]
"""Record headers as Kafka clients give and take them."""

# Of a raw record, UTF-8 text each.
EVENT_ID = "event_id"
TEAM = "team"
TOKEN_ID = "token_id"  # noqa: S105 - a header's name
FORMAT = "format"
KIND = "kind"
RECEIVED_AT = "received_at"
SENT_AT = "sent_at"
TRACEPARENT = "traceparent"
# Of one that is a dead letter's second try: "<partition>/<offset>" of the dead letter.
REPLAYED_FROM = "replayed_from"
# Of a normalized record, beside event_id and team; of a copy in a team's own topic, beside all raw headers.
RAW_OFFSET = "raw_offset"
# Of one that holds discards, or typed fields: where its parts end, and how many discards there are.
ENVELOPE_BYTES = "envelope_bytes"
TYPED_BYTES = "typed_bytes"
DISCARDS = "discards"
# Of a dead letter, beside all raw headers.
REASON = "reason"
FIELD = "field"
DETAIL = "detail"
RAW_PARTITION = "raw_partition"
NORMALIZED_FORMAT = b"envelope.v1"
"""The format of a dead letter that holds the normalized record: one that ClickHouse did not take."""
DEAD_LETTER_HEADERS = frozenset({REASON, FIELD, DETAIL, RAW_PARTITION, RAW_OFFSET})

MAX_RECORD_BYTES = 1 << 20
DAY_MILLISECONDS = 86_400_000
REFUSALS_PARTITIONS = 1
SCHEMAS_PARTITIONS = 1


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it should be made.

    Attributes:
        partitions: how many it has, where that is not the operator's choice.
    """

    name: str
    config: dict[str, str]
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class Topics:
    """The names in one Kafka, all behind one prefix, so that several pipelines may share a cluster."""

    prefix: str = ""

    @property
    def raw(self) -> str:
        """Events exactly as posted."""
        return f"{self.prefix}events.raw"

    def raw_of(self, team: str) -> str:
        """A team's own topic: copies of its records of the raw topic, for who may see no other team's."""
        return f"{self.raw}.{team}"

    @property
    def normalized(self) -> str:
        """Events in Avro."""
        return f"{self.prefix}events.normalized"

    @property
    def dead_letter(self) -> str:
        """Raw records that could not be normalized, and why."""
        return f"{self.prefix}events.dead_letter"

    @property
    def refusals(self) -> str:
        """Events that the ingress refused, for who watches them pass; no part of the published contract."""
        return f"{self.prefix}events.refusals"

    @property
    def schemas(self) -> str:
        """The teams' registered schemas: one partition, compacted, read from its beginning by stream and sink."""
        return f"{self.prefix}events.schemas"

    @property
    def stream_group(self) -> str:
        """The stream's consumer group."""
        return f"{self.prefix}events-stream"

    @property
    def sink_group(self) -> str:
        """The sink's consumer group."""
        return f"{self.prefix}events-sink"

    @property
    def dead_letter_group(self) -> str:
        """Where the sink keeps how far it has stored the dead letters; nobody joins it."""
        return f"{self.prefix}events-sink-dead-letters"

    def specs(self, retention_days: int, teams: Sequence[str] = ()) -> list[TopicSpec]:
        """The topics to make, those of `teams` too; what comes from raw records is kept as long as they are."""
        config = {
            "retention.ms": str(retention_days * DAY_MILLISECONDS),
            "max.message.bytes": str(MAX_RECORD_BYTES + (64 << 10)),
            "compression.type": "producer",
            # By the producers' clocks, one that is an hour ahead would be refused, and what one a week behind wrote
            # would be deleted before anyone reads it.
            "message.timestamp.type": "LogAppendTime",
        }
        own = [self.raw_of(team) for team in teams]
        specs = [TopicSpec(name, config) for name in (self.raw, self.normalized, self.dead_letter, *own)]
        # Few records, for eyes only: no order beyond one partition's, and a day is long enough.
        short = {"retention.ms": str(DAY_MILLISECONDS)}
        # Every version that there ever was: records that it wrote may still come.  When each came and went: as long as
        # there are raw records of that time.
        kept = config | {
            "cleanup.policy": "compact",
            "retention.ms": "-1",
            "min.compaction.lag.ms": config["retention.ms"],
        }
        return [
            *specs,
            TopicSpec(self.refusals, config | short, REFUSALS_PARTITIONS),
            TopicSpec(self.schemas, kept, SCHEMAS_PARTITIONS),
        ]


def partition_for(key: bytes, partitions: int) -> int:
    """The raw partition of a key: CRC-32, as librdkafka's `consistent` partitioner has it."""
    return crc32(key) % partitions


def key_in(partition: int, partitions: int, start: bytes, endings: Sequence[bytes]) -> bytes:
    """The start with the first ending by which the key is in this partition; with the last one, where none does it."""
    checksum, ending = crc32(start), b""
    for ending in endings:
        if crc32(ending, checksum) % partitions == partition:
            break
    return start + ending
