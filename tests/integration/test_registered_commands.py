"""`events schema add`, `list` and `show`, on a pipeline of its own accounts and Kafka."""

import json
import subprocess
from pathlib import Path

from schemas.settings import KafkaSettings
from tests.stack import EVENTS
from tests.typed import published

FIELD = {"name": "revenue", "type": ["null", "double"], "default": None}
ORDER = {"type": "record", "name": "Order", "fields": [FIELD]}


def events(folder: Path, kafka: KafkaSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder with an accounts database of its own."""
    env = {
        "ACCOUNTS_URL": f"sqlite:///{folder / 'accounts.db'}",
        "KAFKA_BOOTSTRAP_SERVERS": kafka.kafka_bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.kafka_topic_prefix,
    }
    return subprocess.run(
        [EVENTS, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )


async def keys(kafka: KafkaSettings) -> list[str]:
    """What stream and sink know of, by its key."""
    return [version.key.decode() for version in await published(kafka)]


async def test_schema_when_added(kafka: KafkaSettings, tmp_path: Path) -> None:
    """It is published when the command ends, listed with its table, and shown as it was written."""
    text = json.dumps(ORDER, indent=1)
    (tmp_path / "order.avsc").write_text(text, "utf-8")
    events(tmp_path, kafka, "team", "create", "acme")

    added = events(tmp_path, kafka, "schema", "add", "acme", "Order Completed", "order.avsc", "--json")

    assert added.returncode == 0, added.stderr
    assert await keys(kafka) == ["acme.Order Completed/1"]
    assert json.loads(added.stdout)["table"] == "acme.order_completed"
    listed = events(tmp_path, kafka, "schema", "list", "acme", "--json")
    assert json.loads(listed.stdout) == [json.loads(added.stdout)]
    assert events(tmp_path, kafka, "schema", "show", "acme", "Order Completed").stdout == f"{text}\n"


async def test_schema_when_it_cannot_be_added(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Each reason has its words and its exit code, and nothing is published; a major of its own is taken."""
    (tmp_path / "order.avsc").write_text(json.dumps(ORDER), "utf-8")
    as_text = ORDER | {"fields": [FIELD | {"type": ["null", "string"]}]}
    (tmp_path / "text.avsc").write_text(json.dumps(as_text), "utf-8")
    (tmp_path / "none.avsc").write_text("{}", "utf-8")
    add = ("schema", "add", "acme", "Order Completed")
    nobody = events(tmp_path, kafka, *add, "order.avsc")
    assert (nobody.returncode, "acme" in nobody.stderr) == (4, True)
    events(tmp_path, kafka, "team", "create", "acme")
    assert events(tmp_path, kafka, *add, "order.avsc").returncode == 0

    changed = events(tmp_path, kafka, *add, "text.avsc")
    wrong = events(tmp_path, kafka, *add, "none.avsc")
    away = events(
        tmp_path, kafka.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"}), *add, "text.avsc", "--major=2"
    )

    assert (changed.returncode, "revenue" in changed.stderr) == (1, True)
    assert (wrong.returncode, "Avro record" in wrong.stderr) == (1, True)
    assert (away.returncode, "It is kept" in away.stderr) == (5, True)
    assert await keys(kafka) == ["acme.Order Completed/1"]
    assert events(tmp_path, kafka, *add, "text.avsc", "--major=2").returncode == 0
    assert await keys(kafka) == ["acme.Order Completed/1", "acme.Order Completed@2/1"]
    missing = events(tmp_path, kafka, "schema", "show", "acme", "Order Completed", "--version=9")
    assert (missing.returncode, "no version 9" in missing.stderr) == (4, True)
