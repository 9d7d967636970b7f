"""The demo team, and the file with its token."""

from pathlib import Path

TEAM = "demo"


def read_token(token_file: Path) -> str | None:
    """What the file holds; None where there is none."""
    try:
        return token_file.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
