"""Settings of the sink; `SINK_*` in the environment."""

from pydantic import Field

from schemas.settings import ClickHouseSettings, KafkaSettings, Settings
from sink.batch import Limits


class SinkSettings(Settings, KafkaSettings, ClickHouseSettings):
    """What one sink process is told at its start."""

    sink_metrics_port: int = Field(9103, ge=0, le=65_535, description="port of /metrics, /livez and /readyz")
    sink_max_batch_rows: int = Field(50_000, ge=1, description="an insert starts when a partition has this many rows")
    sink_max_batch_bytes: int = Field(
        16 << 20, ge=1, description="or this many bytes; each partition holds twice this at most"
    )
    sink_max_batch_age_seconds: float = Field(1.0, gt=0, description="or when its oldest row has waited this long")
    sink_insert_timeout_seconds: float = Field(60.0, gt=0, description="an insert that takes longer is tried again")
    sink_session_timeout_seconds: float = Field(
        10.0, ge=6, le=1_800, description="Kafka gives the partitions of a sink that is silent this long to another one"
    )
    sink_stall_seconds: float = Field(
        30.0,
        gt=0,
        description="standing still so long, while Kafka answers and has more, ends the process: a new one goes on",
    )
    sink_stop_timeout_seconds: float = Field(
        10.0, gt=0, description="what is collected is inserted within this at stop"
    )
    sink_audit_interval_seconds: float = Field(
        30.0, ge=0, description="each partition is audited this often, beside the inserts; 0 for never"
    )

    @property
    def limits(self) -> Limits:
        """When a batch is inserted."""
        return Limits(self.sink_max_batch_rows, self.sink_max_batch_bytes, self.sink_max_batch_age_seconds)
