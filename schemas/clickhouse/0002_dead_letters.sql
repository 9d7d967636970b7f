-- The dead letters of all teams.  What somebody else wrote is in strings, byte for byte: no record is refused for what it holds.
CREATE TABLE IF NOT EXISTS {database}.dead_letters
(
    -- '' where the record names no team.
    team            LowCardinality(String),
    event_id        String,
    reason          LowCardinality(String),
    field           String,
    detail          String,
    format          LowCardinality(String),
    token_id        String,
    received_at     Nullable(DateTime64(6, 'UTC')),
    key             Nullable(String),
    value           Nullable(String) CODEC(ZSTD(1)),
    value_bytes     Nullable(UInt64) DEFAULT length(value),
    written_at      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at     DateTime64(6, 'UTC') DEFAULT now64(6),
    _raw_partition  Nullable(UInt32),
    _raw_offset     Nullable(UInt64),
    _partition      UInt32,
    _offset         UInt64 CODEC(Delta, ZSTD(1)),
    -- The same for the record read again, and for the dead letter of a raw record that was written once more after a crash.
    _identity       FixedString(16) MATERIALIZED sipHash128(
        isNull(_raw_offset), ifNull(_raw_partition, _partition), ifNull(_raw_offset, _offset),
        event_id, format, ifNull(key, ''), ifNull(value, '')
    ),
    -- Of several the first stays.
    _version        Int64 MATERIALIZED -toInt64(_offset),
    INDEX event_ids event_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree(_version)
PARTITION BY toYYYYMM(written_at)
PRIMARY KEY (team, reason)
ORDER BY (team, reason, _identity)
SETTINGS non_replicated_deduplication_window = 1000;
