"""Tests by cost: integration."""
