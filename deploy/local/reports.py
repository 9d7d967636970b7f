"""What the launcher says while it works.  One process makes these, maybe another one shows them."""

from typing import Protocol

import msgspec


class Begun(msgspec.Struct, frozen=True, tag=True):
    """A step is being worked on."""

    step: str


class Progressed(msgspec.Struct, frozen=True, tag=True):
    """How far a step is that can be counted."""

    step: str
    text: str
    done: int
    total: int


class Done(msgspec.Struct, frozen=True, tag=True):
    """A step has ended well.

    Attributes:
        seconds: how long it took; None where that says nothing.
    """

    step: str
    text: str
    seconds: float | None = None
    note: str = ""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A step has ended, and not well."""

    step: str
    text: str


class Noted(msgspec.Struct, frozen=True, tag=True):
    """Something happened outside the steps; loud if somebody should look at it."""

    text: str
    loud: bool = False


class Ready(msgspec.Struct, frozen=True, tag=True):
    """All of it works; the state file says where."""


Report = Begun | Progressed | Done | Failed | Noted | Ready


class Reporter(Protocol):
    """Who is told."""

    def report(self, report: Report) -> None:
        """Show or pass on one report."""
