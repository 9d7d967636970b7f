"""Email addresses, as far as users are told apart by them.  Pure."""

import re

MAX_CHARACTERS = 254
# What is behind the @ only has to look like a host; who can read the mail is shown by whoever gets the link.
_EMAIL = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+")


def parse_email(text: str) -> str:
    """The address in the form in which it is stored and compared: without blanks around it, in lower case.

    Raises:
        ValueError: where it is none, with words for who typed it.
    """
    email = text.strip().lower()
    if len(email) > MAX_CHARACTERS or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise ValueError(f"{text[:MAX_CHARACTERS]!r} is no email address: write name@host")
    return email
