-- What did not fit its type, one row for each event of which something did not.
CREATE TABLE IF NOT EXISTS {database}.discards
(
    event_id        UUID,
    team            LowCardinality(String),
    event           LowCardinality(String),
    user_id         String,
    anonymous_id    String,
    occurred_at     DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    sent_at         Nullable(DateTime64(6, 'UTC')),
    received_at     DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    discards        Array(Tuple(field String, value String, wanted String, reason String)),
    _raw_partition  UInt32,
    _raw_offset     UInt64 CODEC(Delta, ZSTD(1)),
    inserted_at     DateTime64(6, 'UTC') DEFAULT now64(6),
    _version        Int64 MATERIALIZED -toInt64(_raw_offset),
    INDEX raw_offsets _raw_offset TYPE minmax GRANULARITY 1,
    INDEX event_ids event_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree(_version)
PARTITION BY toYYYYMM(occurred_at)
PRIMARY KEY (team, event, toDate(occurred_at))
ORDER BY (team, event, toDate(occurred_at), cityHash64(user_id), event_id)
SETTINGS non_replicated_deduplication_window = 10000;
