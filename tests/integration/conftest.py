"""What tests of the console share."""

import uuid

import pytest

from ingress.accounts.models import Role, User
from tests.console import Console, Visitor


@pytest.fixture
async def user(console: Console) -> User:
    """Somebody with a team."""
    return await console.user({await console.team(): Role.OWNER})


@pytest.fixture
def visitor(console: Console) -> Visitor:
    """A browser at an address of its own, so that no other test spends its tries."""
    one, two, three = uuid.uuid4().bytes[:3]
    return console.visitor(f"127.{one}.{two}.{three | 1}")
