"""What a browser is told, and which of its requests are its user's own will.  Pure.

Sources: OWASP ASVS 5.0, chapter 3; Go's `http.CrossOriginProtection`, of which this is a stricter reading.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Server": "events-api",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def security_headers(console_url: str) -> dict[str, str]:
    """What stands in every answer; over https, the browser never tries http again."""
    if console_url.startswith("https:"):
        return _HEADERS | {"Strict-Transport-Security": "max-age=31536000"}
    return _HEADERS


def allowed_hosts(console_url: str) -> frozenset[str]:
    """What may stand in `Host`: another name that leads here is somebody's who wants a browser's trust (rebinding)."""
    parts = urlsplit(console_url)
    host, _, port = parts.netloc.rpartition(":") if parts.port else (parts.netloc, "", "")
    names = _LOOPBACK if host in _LOOPBACK else (host,)
    return frozenset(f"{name}:{port}" if port else name for name in names)


def is_reachable_safely(console_url: str) -> bool:
    """Whether browsers keep a `Secure` cookie of this address."""
    parts = urlsplit(console_url)
    return parts.scheme == "https" or parts.hostname in {"127.0.0.1", "localhost", "::1"}


def is_own_will(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a page of ours, or from the address bar, so that it may change something.

    Every browser since 2023 sends `Sec-Fetch-Site`, and every one since 2020 sends `Origin`.
    """
    if method in SAFE_METHODS:
        return True
    if site := headers.get("Sec-Fetch-Site"):
        return site in {"same-origin", "none"}
    origin = urlsplit(headers.get("Origin", ""))
    return bool(origin.netloc) and origin.netloc == headers.get("Host")
