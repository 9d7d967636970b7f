"""Tokens."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.accounts.tokens import ALPHABET, digest, is_well_formed, mint, mint_id


def test_token_when_minted() -> None:
    """A token is evt_ and 38 base62 characters, is well-formed, and no two are alike."""
    minted = {mint() for _ in range(1000)}

    assert len(minted) == 1000
    assert {len(token) for token in minted} == {42}
    assert all(
        token.startswith("evt_") and set(token[4:]) <= set(ALPHABET) and is_well_formed(token) for token in minted
    )


def test_checksum_when_known() -> None:
    """The last six characters are the CRC-32 of the rest in base 62, as documented, so that scanners can check it."""
    assert is_well_formed("evt_" + "0" * 32 + "0cf83v")


@given(position=st.integers(4, 41), character=st.sampled_from(ALPHABET))
def test_well_formed_when_one_character_is_mistyped(position: int, character: str) -> None:
    """A single wrong character is always noticed."""
    token = mint()
    mistyped = token[:position] + character + token[position + 1 :]

    assert is_well_formed(mistyped) is (mistyped == token)


@pytest.mark.parametrize(
    "text", ["", "evt_", "x" * 42, "evt_" + "é" * 38, "evt_" + "\udcff" * 38, mint()[:-1], mint() + "0"]
)
def test_well_formed_when_not_a_token(text: str) -> None:
    """Whatever else a header may carry is not well-formed, and is no error."""
    assert not is_well_formed(text)
    assert len(digest(text)) == 32


def test_digest_when_stored() -> None:
    """What is stored is the token's SHA-256."""
    assert digest("evt_abc") == sha256(b"evt_abc").digest()


def test_id_when_minted() -> None:
    """A token's id is short and its own."""
    assert len({mint_id() for _ in range(1000)}) == 1000
    assert len(mint_id()) == 16
