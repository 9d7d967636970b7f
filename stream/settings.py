"""Settings of the stream."""

from pydantic import Field, PositiveFloat

from schemas.settings import KafkaSettings, Settings
from stream.dead_letter_limit import Bounds


class StreamSettings(Settings, KafkaSettings):
    """What `python -m stream` reads from the environment."""

    stream_metrics_port: int = Field(9102, ge=0, le=65535, description="port of the Prometheus and health listener")
    stream_max_run_records: int = Field(
        2000, ge=1, le=20_000, description="the most records of a run: normalized and acknowledged together"
    )
    stream_commit_interval_seconds: PositiveFloat = Field(0.5, description="how often finished runs are committed")
    stream_dead_letters_per_minute: int = Field(
        100,
        ge=0,
        description="so many of a minute's events of one name may become dead letters for want of a required member, "
        "or stream_dead_letter_share of them where that is more; the others are stored without typed fields",
    )
    stream_dead_letter_share: float = Field(0.1, ge=0, le=1, description="see stream_dead_letters_per_minute")
    stream_stall_seconds: PositiveFloat = Field(
        30, description="standing still so long, while Kafka answers and has more, ends the process: a new one goes on"
    )
    stream_shutdown_seconds: PositiveFloat = Field(
        8, description="how long runs in flight may take to finish after SIGTERM"
    )

    @property
    def dead_letter_bounds(self) -> Bounds:
        """Of the dead letters of one event name."""
        return Bounds(self.stream_dead_letters_per_minute, self.stream_dead_letter_share)
