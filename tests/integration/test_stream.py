"""The stream against a real Kafka: its work, its start and its stop."""

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete
from msgspec.structs import replace

from schemas.settings import KafkaSettings
from tests.integration.stream_harness import BAD_EVERY, STREAM, Broker, broker, faulty, stream
from tests.integration.test_raw_topic import headers_promised
from tests.services import eventually, free_port, wait_until
from tests.typed import version

SECONDS_TO_STOP = 15


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of what the metrics listener answers; 0 where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


async def test_stream_normalizes_all_and_stops_in_good_order_when_told(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Every record lands once in its partition; SIGTERM ends with 0 and all finished work committed, nothing redone."""
    async with broker(kafka) as kafka_broker:
        await kafka_broker.load(2500)
        with stream(kafka, tmp_path / "stream.log", faulty("slow_kafka")) as running:
            await kafka_broker.normalized_reaches(3000)
            running.terminate()
            assert running.wait(SECONDS_TO_STOP) == 0
        half_way = await kafka_broker.outcome()
        done = [len(good) + len(bad) for good, bad in zip(half_way.normalized, half_way.dead_letters, strict=True)]
        assert await kafka_broker.committed() == done

        with stream(kafka, tmp_path / "stream.log"):
            await kafka_broker.caught_up()
        outcome = await kafka_broker.outcome()

    outcome.assert_exact(2500)
    assert outcome.repeats() == 0


async def test_stream_goes_on_behind_records_that_are_garbage(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Whatever somebody wrote becomes a dead letter with its reason and place; what is behind it is normalized."""
    async with broker(kafka) as kafka_broker:
        await kafka_broker.produce_raw(0, key=None, value=None, headers=[])
        await kafka_broker.produce_raw(0, key=b"\xff", value=b"\x00" * 900_000, headers=[("team", b"\xff")])
        await kafka_broker.produce_raw(
            0, key=b"k", value=b"{}", headers=[("no text", b"")], garble=(b"no text", b"no\xfftext")
        )
        await kafka_broker.load(BAD_EVERY)
        with stream(kafka, tmp_path / "stream.log"):
            await kafka_broker.caught_up()
        letters = (await kafka_broker.records(kafka.topics.dead_letter))[0]
        normalized = await kafka_broker.ends(kafka.topics.normalized)

    reasons = [dict(letter.headers)["reason"] for letter in letters]
    assert reasons == [b"missing_header", b"missing_header", b"missing_header", b"invalid_json"]
    assert dict(letters[2].headers)["raw_offset"] == b"2"
    assert (letters[0].key, letters[0].value) == (None, None)
    assert (letters[1].key, letters[1].value) == (b"\xff", b"\x00" * 900_000)
    assert normalized == [BAD_EVERY - 1] * 4


async def test_stream_says_loudly_that_the_raw_log_is_not_what_it_was(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Where records were deleted unread, or the log was made anew, what is there is normalized and the log says so."""
    log = tmp_path / "stream.log"
    async with broker(kafka) as kafka_broker:
        await kafka_broker.load(100)
        await kafka_broker.commit(1, 5000)
        with stream(kafka, log):
            await kafka_broker.caught_up()
        await kafka_broker.load(100, first=100)
        partition = TopicPartition(kafka.topics.raw, 2)
        await kafka_broker.admin.delete_records({partition: RecordsToDelete(before_offset=150)})
        with stream(kafka, log):
            await kafka_broker.caught_up()
        outcome = await kafka_broker.outcome()

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    gaps = [
        (line["event"], line["partition"], line["expected"], line["continued_at"])
        for line in lines
        if "expected" in line
    ]
    assert gaps == [("raw_log_made_anew", 1, 5000, 0), ("raw_records_lost", 2, 100, 150)]
    assert [max(offsets) for offsets in outcome.normalized] == [199] * 4
    assert len(outcome.normalized[1]) == 2 * (100 - 100 // BAD_EVERY)
    assert not set(outcome.normalized[2]) & set(range(100, 150))


async def test_stream_refuses_to_start_when_an_output_has_fewer_partitions(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    """A record keeps its partition number, so this is a mistake to be mended: exit 2 and the names of both topics."""
    async with broker(kafka) as kafka_broker:
        await kafka_broker.admin.create_partitions({kafka.topics.raw: NewPartitions(total_count=6)})
    log = tmp_path / "stream.log"

    with stream(kafka, log) as running:
        assert running.wait(30) == 2

    assert f"{kafka.topics.normalized} has 4 partitions and {kafka.topics.raw} has 6" in log.read_text()


async def test_stream_writes_by_a_schema_that_was_published_before_it_started(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    """However late the schemas are read, the first record has its typed field and every header that is promised."""
    async with broker(kafka) as kafka_broker:
        await kafka_broker.publish(version("demo", [{"name": "n", "type": "long"}], event="e"))
        await kafka_broker.load(3)
        with stream(kafka, tmp_path / "stream.log", faulty("late_schemas")):
            await kafka_broker.normalized_reaches(8)
        records = (await kafka_broker.records(kafka.topics.normalized))[0]

    assert [record.value[:5] for record in records] == [b"\x00\x00\x00\x03\xe9"] * 2
    assert [record.value[-3:] for record in records] == [b"\x00\x02\x02", b"\x00\x02\x04"]
    assert set(dict(records[0].headers)) == set(headers_promised("events.normalized"))


async def test_stream_follows_schemas_that_change_while_it_runs(kafka: KafkaSettings, tmp_path: Path) -> None:
    """One that is published is used for the very next event, and one that is deleted is not any more."""
    by = version("demo", [{"name": "n", "type": "long"}], event="e")
    loaded = 0
    async with broker(kafka) as kafka_broker:

        async def writes(wanted: bytes) -> bool:
            nonlocal loaded
            await kafka_broker.load(2, first=loaded * BAD_EVERY)
            loaded += 1
            await kafka_broker.caught_up()
            last = (await kafka_broker.records(kafka.topics.normalized))[0][-1]
            return bool(last.value[:5] == wanted)

        with stream(kafka, tmp_path / "stream.log"):
            assert await writes(b"\0\0\0\0\x01")
            await kafka_broker.publish(by)
            assert await writes(b"\0\0\0\x03\xe9")
            await kafka_broker.publish(version("demo", [{"name": "n", "type": "long"}], deleted=True, event="e"))
            assert await writes(b"\0\0\0\0\x01")
        outcome = await kafka_broker.outcome()

    assert outcome.repeats() == 0
    assert [len(offsets) for offsets in outcome.normalized + outcome.dead_letters] == [loaded] * 8


async def test_stream_makes_the_same_of_a_record_again_when_its_schema_has_changed(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    """What was done before a kill, and not committed, is done once more as it was: nothing becomes both."""
    strict = version("demo", [{"name": "absent", "type": "long"}], event="e")
    async with broker(kafka) as kafka_broker:
        with stream(kafka, tmp_path / "stream.log", STREAM_COMMIT_INTERVAL_SECONDS="3600") as running:
            await kafka_broker.load(20)
            await kafka_broker.normalized_reaches(4 * 19)
            await kafka_broker.publish(strict)
            await kafka_broker.load(20, first=20)
            await eventually(lambda: _holds(kafka_broker, 4 * 21), "all that the schema refuses", 30)
            running.kill()
        await kafka_broker.publish(replace(strict, deleted=True))
        with stream(kafka, tmp_path / "stream.log"):
            await kafka_broker.caught_up()
        outcome = await kafka_broker.outcome()

    for normalized, refused in zip(outcome.normalized, outcome.dead_letters, strict=True):
        assert normalized == [*range(1, 20)] * 2
        assert refused == [0, *range(20, 40)] * 2


async def _holds(kafka_broker: Broker, dead_letters: int) -> bool:
    return sum(await kafka_broker.ends(kafka_broker.topics.dead_letter)) == dead_letters


async def test_stream_says_that_a_schema_refuses_too_many(kafka: KafkaSettings, tmp_path: Path) -> None:
    """What is over the limit is stored without typed fields, counted, and told with the subject."""
    port, log = free_port(), tmp_path / "stream.log"
    async with broker(kafka) as kafka_broker:
        await kafka_broker.publish(version("demo", [{"name": "absent", "type": "long"}], event="e"))
        await kafka_broker.load(10)
        with stream(
            kafka,
            log,
            STREAM_METRICS_PORT=str(port),
            STREAM_DEAD_LETTERS_PER_MINUTE="5",
            STREAM_DEAD_LETTER_SHARE="0",
        ):
            await kafka_broker.caught_up()
            metrics = get(port, "/metrics")[1]
        outcome = await kafka_broker.outcome()

    # The first record of each partition is garbage.
    lacking = 4 * 9
    assert 'eventsapi_dead_letters_total{reason="missing_member"} 5.0' in metrics
    assert f"eventsapi_dead_letters_spared_total {lacking - 5}.0" in metrics
    assert sum(len(offsets) for offsets in outcome.normalized) == lacking - 5
    assert "too_many_dead_letters" in log.read_text()
    assert "demo.e" in log.read_text()


async def test_stream_refuses_to_start_when_a_topic_is_missing(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Without the schemas it would write what it must not: exit 2, and the topic's name."""
    async with broker(kafka) as kafka_broker:
        await kafka_broker.admin.delete_topics([kafka.topics.schemas])
    log = tmp_path / "stream.log"

    with stream(kafka, log) as running:
        assert running.wait(30) == 2

    assert f"no topic {kafka.topics.schemas}" in log.read_text()


async def test_stream_tells_its_health_and_its_progress(kafka: KafkaSettings, tmp_path: Path) -> None:
    """It is alive at once, ready when it has joined the group, and counts what it did."""
    port = free_port()
    async with broker(kafka) as kafka_broker:
        await kafka_broker.load(100)
        with stream(kafka, tmp_path / "stream.log", STREAM_METRICS_PORT=str(port)):
            wait_until(lambda: get(port, "/livez")[0] == 200, "the stream is alive")
            await kafka_broker.caught_up()
            wait_until(lambda: get(port, "/readyz")[0] == 200, "the stream is ready")
            metrics = get(port, "/metrics")[1]

    assert "eventsapi_records_normalized_total 392.0" in metrics
    assert 'eventsapi_dead_letters_total{reason="invalid_json"} 8.0' in metrics
    assert 'eventsapi_committed_offset{partition="3"} 100.0' in metrics


def test_stream_names_every_setting_that_needs_a_change() -> None:
    """Wrong settings are reported together, and the process ends with 2 before it touches Kafka."""
    env = {"STREAM_MAX_RUN_RECORDS": "0", "STREAM_TYPO": "1", "PATH": ""}

    ended = subprocess.run(STREAM, env=env, capture_output=True, text=True, check=False, timeout=30)

    assert ended.returncode == 2
    assert "STREAM_MAX_RUN_RECORDS: " in ended.stderr
    assert "STREAM_TYPO: there is no such setting" in ended.stderr
