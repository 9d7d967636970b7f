"""What the parts agree on, as far as it can be checked alone."""

from pathlib import Path

import pytest

from schemas import ddl
from schemas.settings import ClickHouseSettings, KafkaSettings, Settings, SettingsError, load
from schemas.topics import Topics, partition_for


class SinkLike(Settings, KafkaSettings, ClickHouseSettings):
    """Settings as a process composes them."""

    sink_max_batch_rows: int = 50_000


def test_partition_when_key_is_known() -> None:
    """Keys go where librdkafka's `consistent` partitioner sends them."""
    assert [partition_for(key, 4) for key in (b"acme/1", b"acme/2", b"acme/3")] == [3, 1, 3]


def test_topics_when_prefixed() -> None:
    """A prefix stands before every topic and every group, so that pipelines do not meet."""
    topics = Topics("dev.")
    names = [spec.name for spec in topics.specs(retention_days=7, teams=["acme"])]

    assert names == [
        "dev.events.raw",
        "dev.events.normalized",
        "dev.events.dead_letter",
        "dev.events.raw.acme",
        "dev.events.refusals",
        "dev.events.schemas",
    ]
    assert (topics.stream_group, topics.sink_group) == ("dev.events-stream", "dev.events-sink")


def test_settings_when_several_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """All problems are reported at once, typos included, and no secret is repeated."""
    monkeypatch.setenv("SINK_MAX_BATCH_ROWS", "many")
    monkeypatch.setenv("SINK_MAX_BATCH_ROW", "5")
    monkeypatch.setenv("CLICKHOUSE_URL", "tcp://sink:hunter2@nowhere")

    with pytest.raises(SettingsError) as refused:
        load(SinkLike, "SINK_")

    report = str(refused.value)
    assert "SINK_MAX_BATCH_ROWS: " in report
    assert "SINK_MAX_BATCH_ROW: there is no such setting" in report
    assert "CLICKHOUSE_URL: " in report
    assert "hunter2" not in report


def test_settings_when_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field's name in capitals is its variable."""
    monkeypatch.setenv("SINK_MAX_BATCH_ROWS", "5")
    monkeypatch.setenv("KAFKA_SSL_CAFILE", "/etc/ca.pem")

    settings = load(SinkLike, "SINK_")

    assert (settings.sink_max_batch_rows, settings.kafka_ssl_cafile) == (5, Path("/etc/ca.pem"))


@pytest.mark.parametrize("slug", ["", "Acme", "1team", "a-b", "a" * 64, "system", "warehouse", "a.b", "a`b"])
def test_slug_when_it_cannot_name_a_database(slug: str) -> None:
    """A slug names a database, so anything but a plain identifier is refused."""
    assert not ddl.is_team_slug(slug)
    with pytest.raises(ValueError, match="cannot name a team's database"):
        ddl.team_statements(slug, "warehouse")
    with pytest.raises(ValueError, match="cannot name a team's database"):
        ddl.analyst_statements(slug, "00" * 32)


def test_statements_when_rendered() -> None:
    """Files become single statements with the names filled in and no comment left."""
    statements = ddl.warehouse_statements("lake") + ddl.team_statements("acme", "lake")

    assert [statement.split("(")[0].split("\n")[0] for statement in statements] == [
        "CREATE DATABASE IF NOT EXISTS lake",
        "CREATE TABLE IF NOT EXISTS lake.events",
        "CREATE TABLE IF NOT EXISTS lake.dead_letters",
        "CREATE TABLE IF NOT EXISTS lake.discards",
        "CREATE TABLE IF NOT EXISTS lake.retention",
        "CREATE DATABASE IF NOT EXISTS acme",
        "CREATE OR REPLACE VIEW acme.events DEFINER = CURRENT_USER SQL SECURITY DEFINER AS",
        "CREATE OR REPLACE VIEW acme.dead_letters DEFINER = CURRENT_USER SQL SECURITY DEFINER AS",
        "CREATE OR REPLACE VIEW acme.discards DEFINER = CURRENT_USER SQL SECURITY DEFINER AS",
    ]
    assert not any("--" in statement or "{" in statement.replace("'{}'", "") for statement in statements)
