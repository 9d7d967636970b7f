"""Settings of the stream."""

from pydantic import Field, PositiveFloat

from schemas.settings import KafkaSettings, Settings


class StreamSettings(Settings, KafkaSettings):
    """What `python -m stream` reads from the environment."""

    stream_metrics_port: int = Field(9102, ge=0, le=65535, description="port of the Prometheus and health listener")
    stream_max_run_records: int = Field(
        2000, ge=1, le=20_000, description="the most records of a run: normalized and acknowledged together"
    )
    stream_commit_interval_seconds: PositiveFloat = Field(0.5, description="how often finished runs are committed")
    stream_stall_seconds: PositiveFloat = Field(
        30, description="standing still so long, while Kafka answers and has more, ends the process: a new one goes on"
    )
    stream_shutdown_seconds: PositiveFloat = Field(
        8, description="how long runs in flight may take to finish after SIGTERM"
    )
