-- What one team's analysts see: its own events and dead letters, each once.  {team} is the team's slug, {database} the warehouse.
-- It runs with the rights of who makes it, the sink's user: who reads it needs no grant on the tables of all teams.
CREATE DATABASE IF NOT EXISTS {team};

CREATE OR REPLACE VIEW {team}.events DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT event_id, event, kind, user_id, anonymous_id, occurred_at, sent_at, received_at, properties, context,
       inserted_at, _raw_partition, _raw_offset
FROM {database}.events FINAL
WHERE team = '{team}'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW {team}.dead_letters DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT event_id, reason, field, detail, format, token_id, received_at, key, value, value_bytes, written_at, inserted_at,
       _raw_partition, _raw_offset, _partition, _offset
FROM {database}.dead_letters FINAL
WHERE team = '{team}';

-- What of its events did not fit its type, one row for each value.
CREATE OR REPLACE VIEW {team}.discards DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT event_id, event, occurred_at, received_at, discard.field AS field, discard.value AS value,
       discard.wanted AS wanted, discard.reason AS reason, inserted_at, _raw_partition, _raw_offset
FROM {database}.discards FINAL
ARRAY JOIN discards AS discard
WHERE team = '{team}'
SETTINGS do_not_merge_across_partitions_select_final = 1;
