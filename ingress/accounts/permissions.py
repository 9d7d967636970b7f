"""Who may do what: the one place that decides it.  Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from ingress.accounts.models import Role


class Permission(StrEnum):
    """What a user may be allowed to do, in a team or, as an operator, to all of them."""

    VIEW_TEAM = "view_team"
    VIEW_LIVE = "view_live"
    VIEW_ACCESS_LOG = "view_access_log"
    CHANGE_TOKENS = "change_tokens"
    CHANGE_MEMBERS = "change_members"
    CHANGE_ORIGINS = "change_origins"
    CHANGE_SCHEMAS = "change_schemas"
    REQUEST_ACCESS = "request_access"
    OPERATE = "operate"


_VIEWS = frozenset({Permission.VIEW_TEAM, Permission.VIEW_LIVE, Permission.VIEW_ACCESS_LOG})
_OF_ROLE = {Role.MEMBER: _VIEWS, Role.OWNER: frozenset(Permission) - {Permission.OPERATE}}


class Person(Protocol):
    """A signed-in user, as far as permissions go."""

    @property
    def operator(self) -> bool:
        """Whether they run this installation."""

    @property
    def memberships(self) -> Mapping[str, Role]:
        """Their role in each of their teams."""


def can(user: Person, permission: Permission, team: str | None) -> bool:
    """Whether the user may do this in the team; None where it concerns no team, or all of them.

    Operators enable teams and read the log of all of them; what is in a team they see only as members of it.
    """
    if permission is Permission.OPERATE or (permission is Permission.VIEW_ACCESS_LOG and team is None):
        return user.operator
    role = None if team is None else user.memberships.get(team)
    return role is not None and permission in _OF_ROLE[role]
