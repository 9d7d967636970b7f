"""The tests; the folder says what a test costs."""
