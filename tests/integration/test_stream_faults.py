"""Faults that stock Faust answers with lost events, and that the stream must not.

In each: whatever dies and whenever, the outputs hold every raw offset, in order and without a gap, at most with
repeats, and nothing is ever committed past work that is not done.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.topics import create_topics
from schemas.fatal import EXIT_UNEXPECTED
from schemas.settings import KafkaSettings
from tests.integration.hanging import hanging
from tests.integration.stream_harness import Broker, broker, faulty, stream
from tests.services import PARTITIONS, eventually, kafka_node, running_kafka, wait_until

RECORDS = 2500
STALL_SECONDS = 4


async def assert_nothing_committed_past_the_outputs(kafka_broker: Broker) -> None:
    """Below each committed offset every raw offset is in one of the outputs."""
    committed = await kafka_broker.committed()
    outcome = await kafka_broker.outcome()
    for partition, offset in enumerate(committed):
        assert set(range(offset)) <= {*outcome.normalized[partition], *outcome.dead_letters[partition]}


async def test_an_exception_in_the_agent_ends_the_process_and_loses_nothing(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    """Stock Faust acknowledges the event whose agent raised; here the process ends, and the next one does it again."""
    log = tmp_path / "stream.log"
    async with broker(kafka) as kafka_broker:
        await kafka_broker.load(RECORDS)
        with stream(kafka, log, faulty("agent_raises")) as running:
            assert await asyncio.to_thread(running.wait, 30) == EXIT_UNEXPECTED
        assert "a bug in the agent" in log.read_text()
        await assert_nothing_committed_past_the_outputs(kafka_broker)
        assert sum(await kafka_broker.committed()) < RECORDS

        with stream(kafka, log):
            await kafka_broker.caught_up()
        (await kafka_broker.outcome()).assert_exact(RECORDS)


async def test_a_refused_batch_ends_the_process_without_a_commit_past_it(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Stock Faust commits although a send failed; here Kafka refuses all batches, and nothing is committed."""
    log = tmp_path / "stream.log"
    async with broker(kafka) as kafka_broker:
        await kafka_broker.load(RECORDS)
        await set_limit(kafka_broker, kafka.topics.normalized, "100")
        with stream(kafka, log) as running:
            assert await asyncio.to_thread(running.wait, 30) == EXIT_UNEXPECTED
        assert "SendFailed" in log.read_text()
        assert await kafka_broker.committed() == [0, 0, 0, 0]

        await set_limit(kafka_broker, kafka.topics.normalized, str(1 << 21))
        with stream(kafka, log):
            await kafka_broker.caught_up()
        (await kafka_broker.outcome()).assert_exact(RECORDS)


async def set_limit(kafka_broker: Broker, topic: str, size: str) -> None:
    """Let the topic take batches up to this size."""
    limit = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": size})
    await kafka_broker.admin.alter_configs([limit])


async def test_an_unacknowledged_head_is_never_committed_past(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Where a partition's first run hangs the others go on, and it stays at its start, also when the process ends."""
    async with broker(kafka) as kafka_broker:
        await kafka_broker.load(RECORDS)
        with stream(kafka, tmp_path / "stream.log", faulty("first_run_hangs"), STREAM_SHUTDOWN_SECONDS="1") as running:

            async def others_done() -> bool:
                return (await kafka_broker.committed())[1:] == [RECORDS] * 3

            await eventually(others_done, "the other partitions are committed")
            running.terminate()
            assert await asyncio.to_thread(running.wait, 15) == 0
        assert await kafka_broker.committed() == [0, RECORDS, RECORDS, RECORDS]

        with stream(kafka, tmp_path / "stream.log"):
            await kafka_broker.caught_up()
        (await kafka_broker.outcome()).assert_exact(RECORDS)


async def test_workers_that_come_and_go_under_load_leave_no_gap(kafka: KafkaSettings, tmp_path: Path) -> None:
    """1 worker, 2, and 1 again, twice, while records pour in: rebalances neither lose nor reorder anything."""
    enough = asyncio.Event()
    async with broker(kafka) as kafka_broker:
        with stream(kafka, tmp_path / "first.log"):
            pouring = asyncio.create_task(kafka_broker.pour(5000, enough))
            await assert_moving(kafka_broker)
            for visit in ("second.log", "third.log"):
                with stream(kafka, tmp_path / visit):
                    await asyncio.to_thread(wait_until, has_partitions(tmp_path / visit), "the other worker has some")
                    await assert_moving(kafka_broker)
                await assert_moving(kafka_broker)
            enough.set()
            per_partition = await pouring
            await kafka_broker.caught_up()
        outcome = await kafka_broker.outcome()

    outcome.assert_exact(per_partition)


async def test_partitions_that_go_while_schemas_are_read_are_left_alone(kafka: KafkaSettings, tmp_path: Path) -> None:
    """What was fetched of a partition that is another worker's by then is not handed out, and ends nothing."""
    enough = asyncio.Event()
    async with broker(kafka) as kafka_broker:
        with stream(kafka, tmp_path / "first.log", faulty("slow_schemas")) as first:
            pouring = asyncio.create_task(kafka_broker.pour(1000, enough))
            await assert_moving(kafka_broker)
            for visit in ("second.log", "third.log", "fourth.log"):
                with stream(kafka, tmp_path / visit):
                    await asyncio.to_thread(wait_until, has_partitions(tmp_path / visit), "the other worker has some")
            enough.set()
            per_partition = await pouring
            await kafka_broker.caught_up()
            assert first.poll() is None
        outcome = await kafka_broker.outcome()

    outcome.assert_exact(per_partition)


def has_partitions(log: Path) -> Callable[[], bool]:
    """Whether the worker with this log owns some."""
    return lambda: '"partitions_assigned"' in log.read_text("utf-8")


async def assert_moving(kafka_broker: Broker) -> None:
    """More comes out."""
    await kafka_broker.normalized_reaches(sum(await kafka_broker.ends(kafka_broker.topics.normalized)) + 3000)


async def test_kill_9_under_load_leaves_no_gap(kafka: KafkaSettings, tmp_path: Path) -> None:
    """Workers killed in the middle of their runs are followed by others that leave nothing out."""
    async with broker(kafka) as kafka_broker:
        await kafka_broker.load(RECORDS)
        for share in (0.2, 0.6):
            with stream(
                kafka, tmp_path / "stream.log", faulty("slow_kafka"), STREAM_COMMIT_INTERVAL_SECONDS="0.01"
            ) as running:
                await kafka_broker.normalized_reaches(int(share * RECORDS * PARTITIONS))
                running.kill()
            await assert_nothing_committed_past_the_outputs(kafka_broker)
        with stream(kafka, tmp_path / "stream.log"):
            await kafka_broker.caught_up()
        outcome = await kafka_broker.outcome()

    outcome.assert_exact(RECORDS)


async def test_stream_waits_while_kafka_is_away(tmp_path: Path) -> None:
    """Kafka killed in the middle of the load and started again: the same process goes on and finishes."""
    node = kafka_node(tmp_path / "kafka")
    kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
    with running_kafka(node) as server:
        await create_topics(kafka, PARTITIONS)
        async with broker(kafka) as kafka_broker:
            await kafka_broker.load(RECORDS)
        with stream(kafka, tmp_path / "stream.log", STREAM_MAX_RUN_RECORDS="50") as running:
            async with broker(kafka) as kafka_broker:
                await kafka_broker.normalized_reaches(RECORDS)
            server.kill()
            server.wait()
            with running_kafka(node):
                async with broker(kafka) as kafka_broker:
                    await kafka_broker.caught_up()
                    (await kafka_broker.outcome()).assert_exact(RECORDS)
                assert running.poll() is None


async def test_aiokafka_847_ends_the_stream_and_the_next_one_goes_on(kafka: KafkaSettings, tmp_path: Path) -> None:
    """A loop blocked for longer than its session, and a rejoin that hangs: the process says so and ends."""
    await assert_ends_and_is_followed(kafka, tmp_path / "stream.log", "aiokafka_847", "the group is not joined")


async def test_a_stream_that_never_joins_the_group_ends(kafka: KafkaSettings, tmp_path: Path) -> None:
    """No partition was ever assigned, so none stands still; the process ends all the same."""
    await assert_ends_and_is_followed(kafka, tmp_path / "stream.log", "never_joins", "the group is not joined")


async def test_a_bug_that_meets_a_producer_which_cannot_leave_ends_the_stream(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    """What is unexpected ends the process before anything is cleaned up, which may wait for Kafka for ever."""
    log = tmp_path / "stream.log"
    with stream(kafka, log, hanging("cannot_leave", "stream")) as running:
        assert await asyncio.to_thread(running.wait, 30) == EXIT_UNEXPECTED
    assert_last_words(log, "a bug in the watchdog")


async def assert_ends_and_is_followed(kafka: KafkaSettings, log: Path, hang: str, reason: str) -> None:
    """A stream that hangs ends with the reason in its log; nothing is lost."""
    async with broker(kafka) as kafka_broker:
        with stream(kafka, log, hanging(hang, "stream"), STREAM_STALL_SECONDS=str(STALL_SECONDS)) as running:
            await kafka_broker.load(RECORDS)
            assert await asyncio.to_thread(running.wait, 90) == EXIT_UNEXPECTED
        assert_last_words(log, reason)
        await kafka_broker.load(RECORDS, first=RECORDS)
        with stream(kafka, log):
            await kafka_broker.caught_up()
        (await kafka_broker.outcome()).assert_exact(2 * RECORDS)


def assert_last_words(log: Path, reason: str) -> None:
    """The last words of the process."""
    last = log.read_text("utf-8").splitlines()[-1]
    assert '"process_ended"' in last
    assert reason in last


async def test_aiokafka_1154_ends_the_stream_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """Kafka restarted, and fetches that are never answered again: the process says so and ends."""
    node, log = kafka_node(tmp_path / "kafka"), tmp_path / "stream.log"
    kafka = KafkaSettings(kafka_bootstrap_servers=node.bootstrap_servers)
    command = hanging("aiokafka_1154", "stream")
    with ExitStack() as stack:
        with running_kafka(node):
            await create_topics(kafka, PARTITIONS)
            running = stack.enter_context(stream(kafka, log, command, STREAM_STALL_SECONDS=str(STALL_SECONDS)))
            async with broker(kafka) as kafka_broker:
                await kafka_broker.load(RECORDS)
                await kafka_broker.normalized_reaches(RECORDS)
                await kafka_broker.caught_up()
        with running_kafka(node):
            async with broker(kafka) as kafka_broker:
                await kafka_broker.load(RECORDS, first=RECORDS)
                assert await asyncio.to_thread(running.wait, 60) == EXIT_UNEXPECTED
                assert_last_words(log, f"brings nothing (at offset {RECORDS})")
                with stream(kafka, log):
                    await kafka_broker.caught_up()
                (await kafka_broker.outcome()).assert_exact(2 * RECORDS)
