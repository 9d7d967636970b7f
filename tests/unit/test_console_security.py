"""Which requests are their user's own will, where a visitor is sent back to, and what all answers carry."""

import pytest

from ingress.console.security import allowed_hosts, is_own_will, is_reachable_safely, security_headers
from ingress.console.visits import local_path

HOST = "events.example.com"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": f"https://{HOST}"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
        ({"Origin": f"https://{HOST}"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": f"https://{HOST}.evil.example"}, False),
        ({"Origin": f"https://{HOST}:444"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({}, False),
    ],
)
def test_own_will_when_posted(headers: dict[str, str], expected: bool) -> None:  # noqa: FBT001 - a table's column
    """What changes something comes from our own page: the browser's word, else an Origin that is our Host."""
    assert is_own_will("POST", {"Host": HOST} | headers) is expected
    assert is_own_will("DELETE", {"Host": HOST} | headers) is expected


def test_own_will_when_only_looked_at() -> None:
    """A link from anywhere may lead here."""
    assert is_own_will("GET", {"Sec-Fetch-Site": "cross-site"})


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://events.example.com", {"events.example.com"}),
        ("https://events.example.com:8443", {"events.example.com:8443"}),
        ("http://127.0.0.1:8081", {"127.0.0.1:8081", "localhost:8081", "[::1]:8081"}),
        ("http://[::1]:8081", {"127.0.0.1:8081", "localhost:8081", "[::1]:8081"}),
        ("http://localhost", {"127.0.0.1", "localhost", "[::1]"}),
    ],
)
def test_hosts_when_url_is_set(url: str, hosts: set[str]) -> None:
    """Only the console's own names lead to it; on one's own machine, each of the machine's."""
    assert allowed_hosts(url) == hosts


@pytest.mark.parametrize(
    ("url", "expected"),
    [("https://events.example.com", True), ("http://localhost:8081", True), ("http://events.example.com", False)],
)
def test_cookie_when_url_is_set(url: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    """A browser keeps our cookie over TLS, and on its own machine."""
    assert is_reachable_safely(url) is expected


def test_headers_when_served_over_tls() -> None:
    """Only over TLS the browser is told to insist on it."""
    assert "Strict-Transport-Security" in security_headers("https://events.example.com")
    assert "Strict-Transport-Security" not in security_headers("http://127.0.0.1:8081")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/teams/acme/settings", "/teams/acme/settings"),
        ("/teams/acme/log?before=7", "/teams/acme/log?before=7"),
        (None, "/"),
        ("", "/"),
        ("teams", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_return_when_address_says_where(text: str | None, expected: str) -> None:
    """After the sign-in one is at a page of ours, whoever wrote the link."""
    assert local_path(text) == expected
