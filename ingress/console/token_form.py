"""From the fields of the form "Create token" to what is asked for.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingress.console.forms import Form

# Field value: days, and words.
EXPIRIES: Mapping[str, tuple[int | None, str]] = {
    "never": (None, "Never"),
    "30": (30, "In 30 days"),
    "90": (90, "In 90 days"),
    "365": (365, "In a year"),
}
OVERLAPS: Mapping[str, tuple[timedelta, str]] = {
    "24h": (timedelta(hours=24), "24 hours"),
    "1h": (timedelta(hours=1), "1 hour"),
    "7d": (timedelta(days=7), "7 days"),
    "none": (timedelta(), "None: it is revoked at once"),
}
_MAX_DIGITS = 10


@dataclass(frozen=True, slots=True)
class TokenForm:
    """The fields as they were typed; the defaults are what the empty form shows."""

    name: str = ""
    expiry: str = "never"
    event_names: str = ""
    events_per_second: str = ""
    write_only: bool = False
    schemas: bool = False

    @classmethod
    def of(cls, form: Form) -> "TokenForm":
        """What was posted."""
        return cls(
            name=form.text("name"),
            expiry=form.text("expiry"),
            event_names=form.text("event_names"),
            events_per_second=form.text("events_per_second"),
            write_only=form.text("write_only") == "yes",
            schemas=form.text("schemas") == "yes",
        )

    @property
    def has_more(self) -> bool:
        """Whether something is set that most tokens do without."""
        return bool(self.event_names or self.events_per_second or self.write_only or self.schemas)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token to be made."""

    name: str
    expires_at: datetime | None
    event_names: tuple[str, ...]
    events_per_second: int | None
    write_only: bool
    schemas: bool


def parse_token_form(form: TokenForm, now: datetime) -> TokenRequest:
    """What is asked for.

    Raises:
        ValueError: where a field is wrong, with words for who typed it.
    """
    if not form.name:
        raise ValueError("Give the token a name: where it will be used.")
    if form.expiry not in EXPIRIES:
        raise ValueError("Choose when the token expires.")
    days, _ = EXPIRIES[form.expiry]
    lines = (line.strip() for line in form.event_names.splitlines())
    return TokenRequest(
        name=form.name,
        expires_at=None if days is None else now + timedelta(days=days),
        event_names=tuple(dict.fromkeys(line for line in lines if line)),
        events_per_second=_limit(form.events_per_second),
        write_only=form.write_only,
        schemas=form.schemas,
    )


def _limit(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) > 0):
        raise ValueError("Write the limit as a whole number of events a second, or leave it empty.")
    return int(text)
