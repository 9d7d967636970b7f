-- The one physical table of all teams.  {database} is the warehouse's name, `warehouse` by default.
CREATE DATABASE IF NOT EXISTS {database};

CREATE TABLE IF NOT EXISTS {database}.events
(
    event_id        UUID,
    team            LowCardinality(String),
    event           LowCardinality(String),
    kind            LowCardinality(String),
    user_id         String,
    anonymous_id    String,
    occurred_at     DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    sent_at         Nullable(DateTime64(6, 'UTC')),
    received_at     DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    -- Avro strings cannot be read into JSON columns; these two carry them there and are not stored.
    properties_json String EPHEMERAL,
    context_json    String EPHEMERAL,
    properties      JSON(max_dynamic_paths = 256) DEFAULT if(empty(properties_json), '{{}}', properties_json)::JSON(max_dynamic_paths = 256),
    context         JSON(max_dynamic_paths = 64) DEFAULT if(empty(context_json), '{{}}', context_json)::JSON(max_dynamic_paths = 64),
    _raw_partition  UInt32,
    _raw_offset     UInt64 CODEC(Delta, ZSTD(1)),
    inserted_at     DateTime64(6, 'UTC') DEFAULT now64(6),
    -- Of several sendings of one event the first stays: what an analyst once read does not change.
    _version        Int64 MATERIALIZED -toInt64(_raw_offset),
    INDEX raw_offsets _raw_offset TYPE minmax GRANULARITY 1,
    INDEX event_ids event_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree(_version)
PARTITION BY toYYYYMM(occurred_at)
PRIMARY KEY (team, event, toDate(occurred_at))
ORDER BY (team, event, toDate(occurred_at), cityHash64(user_id), event_id)
-- Plain MergeTree forgets insert_deduplication_token at once by default (0).
SETTINGS non_replicated_deduplication_window = 10000;
