"""The rows of the route table, and who may do what each of them does.  Pure.

Invariant: nothing is reachable but through a row, and every row says for whom it is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto

from aiohttp.typedefs import Handler

from ingress.accounts.permissions import Permission, can
from ingress.accounts.sessions import SignedIn

CONFIRMED_FOR = timedelta(minutes=10)


class Open(StrEnum):
    """Who may come where no permission is asked for."""

    PUBLIC = "public"
    SIGNED_IN = "signed_in"


class Verdict(Enum):
    """What becomes of a request."""

    PASS = auto()
    SIGN_IN = auto()
    CONFIRM = auto()
    """Give the password once more first."""
    FORBIDDEN = auto()
    NOT_FOUND = auto()
    """As if it were not there: whether a team exists is its members' business."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row.

    Attributes:
        path: as aiohttp writes it; `{team}` is the team that the permission is asked for.
        access: the permission that is needed, or who else may come.
        confirmed: whether the password must have been given within CONFIRMED_FOR.  Such a path has a GET as well, to
            which the browser returns from there.
    """

    method: str
    path: str
    access: Permission | Open
    handler: Handler
    confirmed: bool = False


def decide(route: Route, signed_in: SignedIn | None, team: str | None, now: datetime) -> Verdict:
    """What becomes of a request for this row; `team` is the one in its path."""
    if route.access is Open.PUBLIC:
        return Verdict.PASS
    if signed_in is None:
        return Verdict.SIGN_IN
    if isinstance(route.access, Permission) and not can(signed_in, route.access, team):
        is_stranger = team is not None and team not in signed_in.memberships
        return Verdict.NOT_FOUND if is_stranger else Verdict.FORBIDDEN
    if route.confirmed and now - signed_in.session.confirmed_at >= CONFIRMED_FOR:
        return Verdict.CONFIRM
    return Verdict.PASS
