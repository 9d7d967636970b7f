"""What the processes must agree on: events, topics, codec, tables, errors, metrics, settings."""
