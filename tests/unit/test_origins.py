"""Web origins."""

import pytest

from ingress.accounts.origins import ANY, parse_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://shop.example:80", "http://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("http://localhost:03000", "http://localhost:3000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("*", ANY),
    ],
)
def test_origin_when_parsed(text: str, origin: str) -> None:
    """It is what a browser sends: lower case, and no port where the scheme has it anyway."""
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "shop.example",
        "https://",
        "https://shop.example/",
        "https://shop.example/path",
        "https://user@shop.example",
        "https://*.shop.example",
        "https://shop..example",
        "https://b\u00fccher.example",
        "https://shop.example:0",
        "https://shop.example:65536",
        "https://shop.example:x",
        "https://shop.example\n",
        "https://a, https://b",
        "https://" + "a" * 250,
    ],
)
def test_origin_when_it_is_none(text: str) -> None:
    """What a browser would never send cannot be allowed, and the message says how an origin is written."""
    with pytest.raises(ValueError, match="is no origin: "):
        parse_origin(text)
