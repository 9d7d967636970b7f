"""Who may ask: one user that reads, `analyst`, and one that writes, `sink`; never one without a password.

The file of passwords has mode 0600 and is made once: what it says at the first start holds for good.
"""

import hmac
import json
import os
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr

from deploy.local.clickhouse.errors import ClickHouseError


class Role(StrEnum):
    """What a user may do; the same word is the role's name in ClickHouse, and the user's."""

    ANALYST = "analyst"
    SINK = "sink"


@dataclass(frozen=True, slots=True)
class Users:
    """The passwords, one per role."""

    passwords: dict[Role, SecretStr]

    def password(self, role: Role) -> str:
        """The password in clear, for who starts the clients."""
        return self.passwords[role].get_secret_value()

    def authenticate(self, name: str, password: str) -> Role:
        """The role of the user with this name and password, compared in constant time.

        Raises:
            ClickHouseError: 516, the same for a wrong name and a wrong password.
        """
        role = next((role for role in Role if role.value == name), None)
        expected = self.password(role or Role.ANALYST)
        matches = hmac.compare_digest(expected.encode(), password.encode())
        if role is None or not matches:
            raise ClickHouseError(
                516,
                "AUTHENTICATION_FAILED",
                f"{name}: Authentication failed: password is incorrect, or there is no user with such name. "
                "`events env` prints the address with user and password in it.",
            )
        return role


class UsersFileError(Exception):
    """The file of passwords cannot be used; the message says what to do."""


def ensure_users(path: Path) -> Users:
    """The users in this file; where there is none, it is made with fresh passwords.

    Safe to call from two processes at once: one file wins, both read it.

    Raises:
        UsersFileError: the file is not what this wrote.
    """
    if not path.exists():
        _write(path, {role.value: secrets.token_urlsafe(24) for role in Role})
    try:
        found = json.loads(path.read_text("utf-8"))
        passwords = {role: SecretStr(str(found[role.value])) for role in Role}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsersFileError(f"{path} cannot be read as passwords; delete it, and new ones are made") from error
    if not all(password.get_secret_value() for password in passwords.values()):
        raise UsersFileError(f"{path} has an empty password; delete it, and new ones are made")
    return Users(passwords)


def _write(path: Path, passwords: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(passwords, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # unlike a rename, it leaves the file that another process was first to make
    except FileExistsError:
        pass
    finally:
        draft.unlink()
