"""Tokens: `evt_`, 32 random characters, 6 characters of checksum; only their SHA-256 is stored.

The prefix lets secret scanners find a leaked token, the checksum lets them (and people) tell a token from a typo
without asking anybody, and `_` selects the whole of it by double click.
Source: GitHub, "Behind GitHub's new authentication token formats" (2021).
"""

import secrets
import string
from hashlib import sha256
from zlib import crc32

PREFIX = "evt_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_CHARACTERS = 32
CHECKSUM_CHARACTERS = 6
ID_CHARACTERS = 12


def mint() -> str:
    """A new token: 190 bits of randomness, so that a plain hash is enough to keep it secret (ASVS 5.0, 6.5.2)."""
    body = PREFIX + random_text(RANDOM_CHARACTERS)
    return body + _checksum(body)


def mint_id(kind: str = "tok") -> str:
    """A short public name, of a token where nothing else is said: for lists, headers and logs."""
    return f"{kind}_{random_text(ID_CHARACTERS)}"


def is_well_formed(token: str) -> bool:
    """Whether this can be a token: right prefix, length, characters and checksum."""
    body, checksum = token[:-CHECKSUM_CHARACTERS], token[-CHECKSUM_CHARACTERS:]
    return (
        token.startswith(PREFIX)
        and len(body) == len(PREFIX) + RANDOM_CHARACTERS
        and set(body[len(PREFIX) :]) <= set(ALPHABET)
        and checksum == _checksum(body)
    )


def digest(token: str) -> bytes:
    """What is stored and looked up in place of the token; takes whatever characters a header may carry."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


def random_text(characters: int = RANDOM_CHARACTERS) -> str:
    """Base 62, by default enough of it that nobody guesses it: 190 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(characters))


def _checksum(body: str) -> str:
    """CRC-32 of the part before it, in base 62, most significant digit first."""
    number, out = crc32(body.encode("utf-8", "surrogatepass")), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(ALPHABET))
        out = ALPHABET[digit] + out
    return out
