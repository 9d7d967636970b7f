"""Where the accounts database is, the same for the ingress, the console and the `events` command."""

import os
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}


def _local_database() -> SecretStr:
    """The local database beside the data of `events up`."""
    return SecretStr(f"sqlite:///{Path(os.environ.get('EVENTS_DATA_DIR') or '.events') / 'accounts.db'}")


class AccountsSettings(BaseSettings):
    """The way to the accounts database."""

    accounts_url: SecretStr = Field(
        default_factory=_local_database,
        description="sqlite:///FILE, or postgresql://user:password@host/database for several machines; "
        "by default `accounts.db` in EVENTS_DATA_DIR",
    )

    @field_validator("accounts_url")
    @classmethod
    def _is_known(cls, url: SecretStr) -> SecretStr:
        try:
            database_url(url.get_secret_value())
        except (ArgumentError, KeyError) as error:
            raise ValueError("must be sqlite:///FILE or postgresql://user:password@host/database") from error
        return url


def database_url(url: str) -> str:
    """The same URL with the asyncio driver that we use named in it.

    Raises:
        ArgumentError: where it is no URL.
        KeyError: where it names another kind of database.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name() if "+" in parsed.drivername else parsed.drivername
    return parsed.set(drivername=_DRIVERS[backend]).render_as_string(hide_password=False)
