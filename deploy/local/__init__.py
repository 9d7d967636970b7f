"""The whole pipeline on one machine: a real Kafka, an embedded ClickHouse, and our three processes."""
