"""One file per change; a released one never changes."""
