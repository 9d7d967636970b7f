"""Tests by cost: unit."""
