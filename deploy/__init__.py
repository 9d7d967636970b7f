"""Starts the parts: on this machine, and past it."""
