"""The demo team's token from start to start."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local.demo import ensure_demo
from ingress.accounts import tokens
from ingress.accounts.store import open_accounts
from tests.accounts import ACTOR

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An accounts database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'accounts.db'}"


async def live(url: str) -> dict[bytes, str]:
    """The team of each token that works, by its digest."""
    async with open_accounts(url) as accounts:
        return {token.digest: token.team for token in await accounts.live_tokens()}


async def test_token_when_started_twice(url: str, tmp_path: Path) -> None:
    """The second start finds the token of the first one, which works and is private."""
    file = tmp_path / "demo-token"

    first = await ensure_demo(url, file, NOW)
    second = await ensure_demo(url, file, NOW)

    assert first == second == file.read_text()
    assert await live(url) == {tokens.digest(first): "demo"}
    assert file.stat().st_mode & 0o777 == 0o600


async def test_token_when_revoked(url: str, tmp_path: Path) -> None:
    """A revoked token is replaced by one that works."""
    file = tmp_path / "demo-token"
    first = await ensure_demo(url, file, NOW)
    async with open_accounts(url) as accounts:
        (token,) = await accounts.tokens("demo")
        await accounts.revoke_token(token.id, NOW, ACTOR)

    second = await ensure_demo(url, file, NOW)

    assert second == file.read_text()
    assert await live(url) == {tokens.digest(second): "demo"}
    assert second != first


async def test_token_when_its_file_is_lost_or_wrong(url: str, tmp_path: Path) -> None:
    """Without its file, or with another team's token in it, there is a new token of the demo team."""
    file = tmp_path / "demo-token"
    first = await ensure_demo(url, file, NOW)
    file.unlink()
    second = await ensure_demo(url, file, NOW)
    async with open_accounts(url) as accounts:
        await accounts.create_team("acme", NOW, ACTOR)
        file.write_text((await accounts.create_token("acme", "", NOW, ACTOR))[0])
    third = await ensure_demo(url, file, NOW)

    assert len({first, second, third}) == 3
    assert (await live(url))[tokens.digest(third)] == "demo"


async def test_token_when_it_may_not_change_schemas(url: str, tmp_path: Path) -> None:
    """One from before is followed by one that may; it works still, where somebody has it."""
    file = tmp_path / "demo-token"
    await ensure_demo(url, file, NOW)
    async with open_accounts(url) as accounts:
        old, _ = await accounts.create_token("demo", "", NOW, ACTOR)
        file.write_text(old)

        new = await ensure_demo(url, file, NOW)

        assert (holder := await accounts.holder(new, NOW)) is not None
        assert holder.schemas
        assert await accounts.holder(old, NOW) is not None
