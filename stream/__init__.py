"""Normalizes raw events against Avro schemas; what cannot be normalized becomes a dead letter."""
