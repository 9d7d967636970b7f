-- What one team's analysts see: its own events, each once.  {team} is the team's slug, {database} the warehouse.
CREATE DATABASE IF NOT EXISTS {team};

CREATE OR REPLACE VIEW {team}.events AS
SELECT event_id, event, kind, user_id, anonymous_id, occurred_at, sent_at, received_at, properties, context,
       inserted_at, _raw_partition, _raw_offset
FROM {database}.events FINAL
WHERE team = '{team}'
SETTINGS do_not_merge_across_partitions_select_final = 1;
