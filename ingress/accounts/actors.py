"""Who changes accounts: a user, the command line, or whoever holds a token."""

import getpass
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, as the access log names them.

    Attributes:
        label: for people to read: an email address, `command line (deploy)`.
        address: of the client, where there is one.
    """

    label: str
    user_id: str | None = None
    address: str | None = None


def command_line() -> Actor:
    """Whoever runs this process, by the operating system's word."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        name = "unnamed"
    return Actor(f"command line ({name})")
