"""From what is typed to what is asked for, and to lines that can be run."""

import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.console.assets import Assets
from ingress.console.browsers import browser_name
from ingress.console.errors import ERRORS, refusal, sentence
from ingress.console.snippets import curl_line
from ingress.console.token_form import TokenForm, parse_token_form

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_token_when_only_named() -> None:
    """A name is enough: such a token may send everything, and does not expire."""
    asked = parse_token_form(TokenForm(name="shop"), NOW)

    assert (asked.name, asked.expires_at, asked.event_names, asked.events_per_second, asked.write_only) == (
        "shop",
        None,
        (),
        None,
        False,
    )


def test_token_when_limited() -> None:
    """Each limit is taken; lines are names, blank and repeated ones are not."""
    form = TokenForm("shop", "30", "Signed Up\r\n\r\n  Left \nSigned Up", "100", write_only=True)

    asked = parse_token_form(form, NOW)

    assert asked.expires_at == NOW + timedelta(days=30)
    assert asked.event_names == ("Signed Up", "Left")
    assert (asked.events_per_second, asked.write_only) == (100, True)


@pytest.mark.parametrize(
    "form",
    [
        TokenForm(),
        TokenForm("shop", "soon"),
        *(TokenForm("shop", events_per_second=text) for text in ("0", "-1", "1.5", "many", "²", "1" * 11)),
    ],
)
def test_token_when_field_is_wrong(form: TokenForm) -> None:
    """What cannot be meant is refused with a sentence."""
    with pytest.raises(ValueError, match=r"^[A-Z].*\.$"):
        parse_token_form(form, NOW)


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=200))
def test_curl_when_event_has_any_name(event: str) -> None:
    """A shell makes of the line what was meant, whatever stands in it, and the body is JSON."""
    words = shlex.split(curl_line("https://events.example.com", "evt_secret", event).replace("\\\n", " "))

    assert words[:3] == ["curl", "https://events.example.com/v1/event", "-H"]
    assert words[3] == "X-Auth-Token: evt_secret"
    assert json.loads(words[-1])["event"] == event


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140 Safari/537.36 Edg/140", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18 Safari/604.1", "Safari on iPhone"),
        ("curl/8.9.1", "curl/8.9.1"),
        ("", "Unknown browser"),
    ],
)
def test_browser_when_named(user_agent: str, name: str) -> None:
    """A session is shown as its user would call it."""
    assert browser_name(user_agent) == name


def test_assets_when_one_changes() -> None:
    """The address of every asset changes with any of them, and of nothing else there is one."""
    old, new = Assets({"a.css": b"1", "b.js": b"2"}), Assets({"a.css": b"1", "b.js": b"3"})

    assert old.url("a.css") == f"/static/{old.digest}/a.css"
    assert old.url("a.css") != new.url("a.css")
    with pytest.raises(KeyError):
        old.url("../settings.py")


def test_refusal_when_status_is_any() -> None:
    """Every error has a page that says what is the case."""
    assert all(str(refusal(status)) for status in range(400, 600) if status != 421)
    assert refusal(418).status == 400
    assert all(title for title, _ in ERRORS.values())
    assert sentence(ValueError("this is so")) == "This is so."
