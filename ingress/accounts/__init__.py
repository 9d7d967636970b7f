"""Teams and their tokens: who may send events."""
