"""Settings of the stream."""

from typing import Annotated

from pydantic import Field, PositiveFloat, field_validator
from pydantic_settings import NoDecode

from schemas.ddl import is_team_slug
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
    stream_team_topics: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="teams whose raw records are copied into a topic of their own, `events.raw.<team>`, which must be "
        "there; several with commas",
    )
    stream_stall_seconds: PositiveFloat = Field(
        30, description="standing still so long, while Kafka answers and has more, ends the process: a new one goes on"
    )
    stream_shutdown_seconds: PositiveFloat = Field(
        8, description="how long runs in flight may take to finish after SIGTERM"
    )

    @field_validator("stream_team_topics", mode="before")
    @classmethod
    def _split(cls, slugs: object) -> object:
        if not isinstance(slugs, str):
            return slugs
        teams = [slug.strip() for slug in slugs.split(",") if slug.strip()]
        if wrong := [slug for slug in teams if not is_team_slug(slug)]:
            raise ValueError(f"no slug of a team: {', '.join(wrong)}")
        return tuple(dict.fromkeys(teams))

    @property
    def team_topics(self) -> dict[bytes, str]:
        """The topic of each team that has one, by the header `team`."""
        return {team.encode(): self.topics.raw_of(team) for team in self.stream_team_topics}

    @property
    def outputs(self) -> list[str]:
        """All topics that are written to."""
        return [self.topics.normalized, self.topics.dead_letter, *self.team_topics.values()]

    @property
    def dead_letter_bounds(self) -> Bounds:
        """Of the dead letters of one event name."""
        return Bounds(self.stream_dead_letters_per_minute, self.stream_dead_letter_share)
