"""`events up` in the foreground, on servers that the environment names; they are none of its business otherwise."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from schemas.settings import ClickHouseSettings, KafkaSettings
from tests.services import accepts
from tests.stack import EVENTS, free_ports

OURS = ["ingress", "stream", "sink", "console"]


def count_records(kafka: KafkaSettings, topic: str) -> int:
    """How many records a topic holds."""
    consumer = Consumer({"bootstrap.servers": kafka.kafka_bootstrap_servers, "group.id": "count"})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1] for partition in partitions]
    consumer.close()
    return sum(ends)


def test_up_when_the_environment_names_servers(
    kafka: KafkaSettings, clickhouse: ClickHouseSettings, tmp_path: Path
) -> None:
    """Only our processes are started, Ctrl-C stops them alone, and deleting asks first and takes ours only.

    A topic of a team's own is made, and gets the first event.
    """
    folder = tmp_path / "data"
    url = clickhouse.clickhouse_url.get_secret_value()
    env = {
        **os.environ,
        "EVENTS_DATA_DIR": str(folder),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.kafka_bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.kafka_topic_prefix,
        "CLICKHOUSE_URL": url,
        "CLICKHOUSE_DATABASE": clickhouse.clickhouse_database,
        "STREAM_TEAM_TOPICS": "demo",
    }

    def events(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([EVENTS, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60)

    command = [str(EVENTS), "up", *free_ports()]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as up:
        assert up.stdout
        lines = []
        for line in up.stdout:
            lines.append(line)
            if line.startswith("Stop"):
                break
        status = json.loads(events("status", "--json").stdout)
        exports = events("env").stdout
        (folder / "mine.txt").write_text("not of events up")
        began = time.monotonic()
        up.send_signal(signal.SIGINT)
        _, said = up.communicate(timeout=15)

    assert "Ctrl-C" in lines[-1], said
    (console,) = (line for line in lines if line.startswith("Console"))
    assert "user setup` prints the link" in console
    assert "/setup/" not in "".join(lines)
    assert up.returncode == 0
    assert time.monotonic() - began < 10
    assert "\x1b" not in said
    assert [process["name"] for process in status["processes"]] == OURS
    assert status["addresses"]["embedded"] == ["accounts"]
    assert f"CLICKHOUSE_URL={url}" in exports.replace("'", "")
    assert accepts(int(kafka.kafka_bootstrap_servers.rpartition(":")[2]))
    assert count_records(kafka, kafka.topics.raw_of("demo")) == 1
    assert events("down", "--delete-data").returncode == 2
    assert (folder / "accounts.db").exists()
    assert events("down", "--delete-data", "--yes").returncode == 0
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
