"""Who may do what."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from ingress.accounts.models import Role
from ingress.accounts.permissions import Permission, can

VIEWS = {Permission.VIEW_TEAM, Permission.VIEW_LIVE, Permission.VIEW_ACCESS_LOG}


@dataclass(frozen=True)
class Somebody:
    """Who asks."""

    operator: bool = False
    memberships: Mapping[str, Role] = field(default_factory=dict)


def allowed(user: Somebody, team: str | None) -> set[Permission]:
    """Everything that the user may do there."""
    return {permission for permission in Permission if can(user, permission, team)}


@pytest.mark.parametrize(
    ("user", "permissions"),
    [
        (Somebody(), set()),
        (Somebody(memberships={"acme": Role.MEMBER}), VIEWS),
        (Somebody(memberships={"acme": Role.OWNER}), set(Permission) - {Permission.OPERATE}),
        (Somebody(memberships={"other": Role.OWNER}), set()),
        (Somebody(operator=True), {Permission.OPERATE}),
        (Somebody(operator=True, memberships={"other": Role.OWNER}), {Permission.OPERATE}),
        (Somebody(operator=True, memberships={"acme": Role.MEMBER}), VIEWS | {Permission.OPERATE}),
    ],
)
def test_permissions_when_in_a_team(user: Somebody, permissions: set[Permission]) -> None:
    """Members see, Owners change, and neither another team's Owner nor an operator sees what is in the team."""
    assert allowed(user, "acme") == permissions


def test_permissions_when_of_no_team() -> None:
    """Where no team is named, operators operate and read the log of all, and an Owner may nothing."""
    assert allowed(Somebody(operator=True), None) == {Permission.OPERATE, Permission.VIEW_ACCESS_LOG}
    assert allowed(Somebody(memberships={"acme": Role.OWNER}), None) == set()
