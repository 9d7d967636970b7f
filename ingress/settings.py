"""Settings of the ingress."""

from pydantic import Field, PositiveFloat, PositiveInt

from ingress.accounts.settings import AccountsSettings
from schemas.settings import KafkaSettings, Settings


class IngressSettings(Settings, KafkaSettings, AccountsSettings):
    """What `python -m ingress` reads from the environment."""

    ingress_host: str = Field("127.0.0.1", description="address of the public HTTP listener")
    ingress_port: int = Field(8080, ge=0, le=65535, description="its port")
    ingress_workers: int = Field(
        1, ge=1, le=256, description="processes that share the port, one per core at most; needs Linux if more than 1"
    )
    ingress_metrics_port: int = Field(9101, ge=0, le=65535, description="port of the Prometheus and health listener")
    ingress_max_event_bytes: int = Field(32 << 10, ge=1024, le=512 << 10, description="the largest event")
    ingress_max_batch_bytes: int = Field(
        1 << 20, ge=1024, le=64 << 20, description="the largest body of a batch, before and after decompression"
    )
    ingress_max_batch_events: int = Field(2500, ge=1, le=100_000, description="the most events of a batch")
    ingress_body_timeout_seconds: PositiveFloat = Field(10, description="how long a body may take to arrive")
    ingress_deadline_seconds: PositiveFloat = Field(10, description="how long to wait for Kafka before answering 503")
    ingress_max_pending_bytes: PositiveInt = Field(
        64 << 20, description="the most that waits for Kafka, in each worker; all partitions have an equal share of it"
    )
    ingress_max_connections: PositiveInt = Field(
        10_000, description="connections of each worker; an event over one more is answered with 503"
    )
    ingress_max_headers: int = Field(100, ge=20, le=1000, description="the most headers of a request")
    ingress_max_header_bytes: int = Field(
        8190, ge=1024, le=64 << 10, description="the longest request line, and the longest name or value of a header"
    )
    ingress_keepalive_seconds: PositiveFloat = Field(
        75, description="how long an idle connection stays open, and the head of a request may take"
    )
    ingress_shutdown_seconds: PositiveFloat = Field(
        20, description="how long requests may take to finish after SIGTERM"
    )
