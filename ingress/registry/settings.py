"""Settings of an external registry, a part of the console's."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, SecretStr
from pydantic_settings import BaseSettings


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a URL such as https://registry.example.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no credentials: they are SCHEMA_REGISTRY_USER and SCHEMA_REGISTRY_PASSWORD")
    return url.rstrip("/")


class RegistrySettings(BaseSettings):
    """The way to a registry that is not ours."""

    schema_registry_url: Annotated[str, AfterValidator(_without_credentials)] | None = Field(
        None,
        description="Confluent's Schema Registry API, elsewhere: teams register there, and the console mirrors it "
        "([registry](registry.md#a-registry-elsewhere)); without it the console is the registry",
    )
    schema_registry_user: SecretStr | None = Field(None, description="for Basic, where it asks for that")
    schema_registry_password: SecretStr | None = Field(None, description="for Basic, where it asks for that")
    schema_registry_poll_seconds: PositiveFloat = Field(5, description="how long the mirror rests between two looks")

    @property
    def schema_registry_host(self) -> str | None:
        """Where schemas are registered, for people; None where it is here."""
        return None if self.schema_registry_url is None else urlsplit(self.schema_registry_url).netloc
