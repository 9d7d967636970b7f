"""Faults on purpose, and the proof that none of them loses or doubles an event."""
