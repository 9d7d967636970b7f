"""The `events` command."""


def main() -> None:
    """Replaced in a moment."""
