"""How what the commands do ends where it is not done."""


class NotConfirmed(Exception):
    """Whoever was asked said no; nothing was done."""
