"""Settings of the ingress."""

import math
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationInfo, field_validator

from ingress.accounts.settings import AccountsSettings
from ingress.receipts.settings import ReceiptSettings
from schemas.settings import Settings


class IngressSettings(Settings, ReceiptSettings, AccountsSettings):
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
    ingress_team_events_per_second: NonNegativeInt = Field(
        20_000,
        description="the most events a second of each team, which each ingress process and each of its workers counts "
        "for itself; two seconds' worth may come at once; 0 for no limit",
    )
    ingress_token_events_per_second: NonNegativeInt = Field(
        0,
        description="the same of each token, besides; `events token create --events-per-second` sets another for one",
    )
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
    ingress_spill_dir: Path | None = Field(
        None,
        description="folder for events while Kafka is away, on a disk that outlives the process; unset: answer 503",
    )
    ingress_spill_after_seconds: PositiveFloat = Field(
        1, description="how long Kafka may take before events go there; less than INGRESS_DEADLINE_SECONDS"
    )
    ingress_spill_max_bytes: int = Field(
        1 << 30, ge=1 << 20, description="the most that lies there, of all workers; when it is full, the answer is 503"
    )
    ingress_refusals: bool = Field(
        True,
        description="whether refused events of known teams are shown to them on the Live page, by events.refusals",
    )
    ingress_shutdown_seconds: PositiveFloat = Field(
        20, description="how long requests may take to finish after SIGTERM"
    )

    @field_validator("ingress_spill_after_seconds")
    @classmethod
    def _before_the_deadline(cls, seconds: float, info: ValidationInfo) -> float:
        deadline_seconds = info.data.get("ingress_deadline_seconds", math.inf)
        if info.data.get("ingress_spill_dir") and seconds >= deadline_seconds:
            raise ValueError(
                "must be less than INGRESS_DEADLINE_SECONDS, or all is answered with 503 before it is spilled"
            )
        return seconds
