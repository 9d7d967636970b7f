"""Writes normalized events into ClickHouse in micro-batches, each offset once."""
