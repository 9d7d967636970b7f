-- The table of one major of a team's schema of one event, and the team's view of it.  {table} is the table's name in the
-- team's database, {columns} what one version has, {added} the same as an ALTER: the table may be of another version.
-- An event is one row here where it is one row in {database}.events, so the two have the same key.
CREATE TABLE IF NOT EXISTS {database}.`{team}.{table}`
(
    event_id        UUID,
    user_id         String,
    anonymous_id    String,
    occurred_at     DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    sent_at         Nullable(DateTime64(6, 'UTC')),
    received_at     DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    {columns},
    _raw_partition  UInt32,
    _raw_offset     UInt64 CODEC(Delta, ZSTD(1)),
    inserted_at     DateTime64(6, 'UTC') DEFAULT now64(6),
    _version        Int64 MATERIALIZED -toInt64(_raw_offset),
    INDEX raw_offsets _raw_offset TYPE minmax GRANULARITY 1,
    INDEX event_ids event_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree(_version)
PARTITION BY toYYYYMM(occurred_at)
PRIMARY KEY toDate(occurred_at)
ORDER BY (toDate(occurred_at), cityHash64(user_id), event_id)
SETTINGS non_replicated_deduplication_window = 10000;

ALTER TABLE {database}.`{team}.{table}` {added};

CREATE DATABASE IF NOT EXISTS {team};

CREATE OR REPLACE VIEW {team}.`{table}` DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT * FROM {database}.`{team}.{table}` FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;
