"""Settings of the console."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from ingress.accounts.settings import AccountsSettings
from ingress.console.live.settings import LiveSettings
from ingress.registry.settings import RegistrySettings
from schemas.settings import Settings


def _origin_only(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be a URL such as https://events.example.com")
    if parts.path not in {"", "/"}:
        raise ValueError("must be a URL without a path, such as https://events.example.com")
    return f"{parts.scheme}://{parts.netloc}".lower()


Origin = Annotated[str, AfterValidator(_origin_only)]


class ConsoleSettings(Settings, LiveSettings, AccountsSettings, RegistrySettings):
    """What `python -m ingress.console` reads from the environment."""

    console_host: str = Field("127.0.0.1", description="address of the console's listener")
    console_port: int = Field(8081, ge=0, le=65535, description="its port")
    console_metrics_port: int = Field(9104, ge=0, le=65535, description="port of the Prometheus and health listener")
    console_url: Origin = Field(
        "http://127.0.0.1:8081",
        description="where browsers find the console; https unless it is this machine, or nobody can sign in",
    )
    console_api_url: Origin = Field(
        "http://127.0.0.1:8080", description="where producers find the ingress, for the examples on the pages"
    )
    console_behind_proxy: bool = Field(
        False,
        description="whether a reverse proxy in front appends to `X-Forwarded-For`; "
        "the last address there is then the visitor's",
    )
