"""Tests by cost: contract."""
