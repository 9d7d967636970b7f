"""The sub-commands of `events`, one module per subject."""
