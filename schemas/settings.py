"""Settings: environment variables, read once at start, all problems reported together.

A field's name in capitals is its variable: `sink_max_batch_rows` is SINK_MAX_BATCH_ROWS.  One frozen class per process
is composed of the shared parts here and its own fields.
"""

import os
import ssl
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.topics import Topics


class SettingsError(Exception):
    """The environment does not make a valid configuration; the message lists every problem."""


class Settings(BaseSettings):
    """What every process has."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is logged")
    log_format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, else JSON")
    metrics_host: str = Field("127.0.0.1", description="address of the Prometheus and health listener")


class KafkaSettings(BaseSettings):
    """The way to Kafka, the same for every process."""

    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="host:port, several with commas")
    kafka_topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9._-]*$", description="before every topic and group")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_sasl_username: str | None = Field(None, description="with SASL_PLAINTEXT or SASL_SSL")
    kafka_sasl_password: SecretStr | None = Field(None, description="with SASL_PLAINTEXT or SASL_SSL")
    kafka_ssl_cafile: Path | None = Field(None, description="certificates to trust instead of the system's")
    kafka_connect_seconds: float = Field(
        3.0, gt=0, description="a broker that takes longer to take up a connection is passed over, and tried again"
    )

    @property
    def topics(self) -> Topics:
        """The names of topics and groups."""
        return Topics(self.kafka_topic_prefix)

    def kafka_options(self) -> dict[str, object]:
        """Keyword arguments that every aiokafka client takes."""
        options: dict[str, object] = {
            "bootstrap_servers": self.kafka_bootstrap_servers,
            "security_protocol": self.kafka_security_protocol,
        }
        if "SSL" in self.kafka_security_protocol:
            options["ssl_context"] = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
        if self.kafka_security_protocol.startswith("SASL"):
            password = self.kafka_sasl_password
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_sasl_username
            options["sasl_plain_password"] = password.get_secret_value() if password else None
        return options


def _has_a_host(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL such as http://user:password@host:8123")
    return url


ClickHouseUrl = Annotated[SecretStr, AfterValidator(_has_a_host)]


class WarehouseSettings(BaseSettings):
    """What the warehouse is called."""

    clickhouse_database: str = Field("warehouse", pattern=r"^[a-z][a-z0-9_]*$", description="the warehouse's name")


class ClickHouseSettings(WarehouseSettings):
    """The way to ClickHouse, for who cannot do without."""

    clickhouse_url: ClickHouseUrl = Field(
        SecretStr("http://127.0.0.1:8123"),
        description="with user and password: http://user:password@host:8123",
    )


T = TypeVar("T", bound=BaseSettings)


def cannot_listen(host: str, port: int, variable: str, error: OSError) -> SettingsError:
    """What to say where a listener's address cannot be had; `variable` is the port's setting."""
    return SettingsError(f"Cannot listen on {host}:{port} ({variable}): {error.strerror or error}")


def load(kind: type[T], prefix: str) -> T:
    """Read the settings of one process, whose own variables start with this prefix: `SINK_`.

    Raises:
        SettingsError: naming every variable that is wrong, missing or unknown.
    """
    known = {name.upper() for name in kind.model_fields}
    problems = [
        f"{name}: there is no such setting"
        for name in sorted(os.environ)
        if name.startswith(prefix) and name not in known
    ]
    try:
        settings = kind()
    except ValidationError as error:
        problems += [f"{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors()]
    if problems:
        raise SettingsError("\n".join(["These settings need a change:", *(f"  {problem}" for problem in problems)]))
    return settings
