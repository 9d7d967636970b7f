"""Every metric of every process, declared once.

Names follow Prometheus: the prefix `eventsapi_`, base units, `_total` for counters.  Labels are bounded: codes from the
closed list, stages, partition numbers; never a team, a token or an event's name.  Counted per batch, not per event.
"""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS = (1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000)

# ingress
HTTP_REQUESTS = Counter("eventsapi_http_requests", "Requests answered", ["route", "status"])
HTTP_REQUEST_SECONDS = Histogram("eventsapi_http_request_seconds", "Request to answer", ["route"], buckets=SECONDS)
EVENTS_ACCEPTED = Counter("eventsapi_events_accepted", "Events acknowledged to their sender")
EVENTS_REFUSED = Counter("eventsapi_events_refused", "Events refused or not acknowledged", ["code"])
REFUSALS_DROPPED = Counter(
    "eventsapi_refusals_dropped", "Refused events that the Live page is not told of: limit, full or kafka", ["reason"]
)
# Of several workers: the sum, or what is worst; `live`, since a worker that died has none of it.
PRODUCER_PENDING_BYTES = Gauge(
    "eventsapi_producer_pending_bytes", "Bytes that wait for Kafka's acknowledgement", multiprocess_mode="livesum"
)
SPILL_BYTES = Gauge("eventsapi_spill_bytes", "Bytes in the spill folder", multiprocess_mode="livesum")
SPILL_RECORDS = Gauge(
    "eventsapi_spill_records", "Records in the spill that Kafka does not have yet", multiprocess_mode="livesum"
)
RECORDS_SPILLED = Counter("eventsapi_records_spilled", "Records written to the spill while Kafka was away")
RECORDS_DRAINED = Counter("eventsapi_records_drained", "Records of the spill that Kafka has acknowledged")
TOKENS_LOADED = Gauge(
    "eventsapi_tokens_loaded",
    "Tokens in the snapshot that requests are checked against",
    multiprocess_mode="livemin",
)
TOKENS_AGE_SECONDS = Gauge("eventsapi_tokens_age_seconds", "Age of that snapshot", multiprocess_mode="livemax")
HTTP_CONNECTIONS = Gauge("eventsapi_http_connections", "Open connections of producers", multiprocess_mode="livesum")
INGRESS_READY = Gauge("eventsapi_ingress_ready", "Workers of the ingress that are ready", multiprocess_mode="livesum")

# console
CONSOLE_SIGN_INS = Counter("eventsapi_console_sign_ins", "Tries to sign in: ok, failed or limited", ["outcome"])

SCHEMA_MIRROR_WAITS = Gauge(
    "eventsapi_schema_mirror_waits", "1 while the mirror waits for SCHEMA_REGISTRY_URL, the accounts database or Kafka"
)
SCHEMA_VERSIONS_REFUSED = Gauge(
    "eventsapi_schema_versions_refused", "Versions there that are not used; the console's log says why"
)
LIVE_VIEWERS = Gauge("eventsapi_live_viewers", "Browsers that look at a Live page")

# stream
RECORDS_NORMALIZED = Counter("eventsapi_records_normalized", "Raw records normalized")
RECORDS_COPIED = Counter("eventsapi_records_copied", "Raw records copied into a topic of their team's own")
DISCARDS = Counter("eventsapi_discards", "Values that did not fit their typed field, or absurd times")
DEAD_LETTERS = Counter("eventsapi_dead_letters", "Raw records that became dead letters", ["reason"])
DEAD_LETTERS_SPARED = Counter(
    "eventsapi_dead_letters_spared", "Events stored without typed fields, too many of their name being dead letters"
)
RUN_SECONDS = Histogram("eventsapi_run_seconds", "One run: from its fetch to its acknowledgement", buckets=SECONDS)

# sink
ROWS_INSERTED = Counter("eventsapi_rows_inserted", "Rows that ClickHouse acknowledged", ["table"])
DEAD_LETTER_ROWS = Counter("eventsapi_dead_letter_rows", "Dead letters that ClickHouse acknowledged as rows")
SCHEMA_ROWS_INSERTED = Counter(
    "eventsapi_schema_rows_inserted", "Rows that ClickHouse acknowledged beside those of events", ["table"]
)
REPEATS_DROPPED = Counter("eventsapi_repeats_dropped", "Records that were in ClickHouse already")
INSERT_SECONDS = Histogram("eventsapi_insert_seconds", "One insert", buckets=SECONDS)
INSERT_ROWS = Histogram("eventsapi_insert_rows", "Rows of one insert", buckets=ROWS)
INSERT_RETRIES = Counter("eventsapi_insert_retries", "Inserts that were tried again", ["reason"])
BUFFERED_BYTES = Gauge("eventsapi_buffered_bytes", "Bytes in batches that are not inserted yet")

# sink: the audit, by raw offset
AUDIT_SETTLED_OFFSET = Gauge("eventsapi_audit_settled_offset", "Below it all is a row or a dead letter", ["partition"])
AUDITED_OFFSET = Gauge("eventsapi_audited_offset", "Raw offset up to which the audit has come", ["partition"])
AUDIT_MISSING_OFFSETS = Gauge("eventsapi_audit_missing_offsets", "Neither row nor dead letter: lost", ["partition"])
AUDIT_DOUBLED_OFFSETS = Gauge("eventsapi_audit_doubled_offsets", "Several rows of one record", ["partition"])
AUDIT_BOTH_OFFSETS = Gauge("eventsapi_audit_both_offsets", "Row and dead letter of one record", ["partition"])
AUDIT_PROGRESS_SECONDS = Gauge(
    "eventsapi_audit_progress_timestamp_seconds", "When the audit last came on", ["partition"]
)

# stream and sink
CONSUMER_LAG_RECORDS = Gauge("eventsapi_consumer_lag_records", "Records behind the end of the log", ["partition"])
COMMITTED_OFFSET = Gauge("eventsapi_committed_offset", "Offset last committed", ["partition"])
