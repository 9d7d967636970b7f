"""Tests by cost: bench."""
