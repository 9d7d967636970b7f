"""Email addresses."""

import pytest

from ingress.accounts.emails import parse_email


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("ann@example.com", "ann@example.com"),
        ("  Ann.Lee+x@Example.COM ", "ann.lee+x@example.com"),
        ("ann@localhost", "ann@localhost"),
        ("jörg@münchen.example", "jörg@münchen.example"),
    ],
)
def test_email_when_it_is_one(text: str, email: str) -> None:
    """Blanks around it and upper case make no other user."""
    assert parse_email(text) == email


@pytest.mark.parametrize(
    "text", ["", "ann", "@example.com", "ann@", "a b@example.com", "a@b@c", "a\0@b", "<a@b>", f"{'a' * 250}@b.cc"]
)
def test_email_when_it_is_none(text: str) -> None:
    """What is no address, or more than the database holds, is refused with how to write one."""
    with pytest.raises(ValueError, match="write name@host"):
        parse_email(text)
