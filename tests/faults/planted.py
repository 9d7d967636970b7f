"""Bugs on purpose, to show that the suite can fail: each breaks one of the orders that the guarantees stand on.

PLANTED_BUG names the one that is in; tests/faults/mortal.py plants it.  FINDERS says which fault brings it to light.
"""

import asyncio
import runpy
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence

import prometheus_client

from schemas.codec import Container
from schemas.settings import load
from sink.kafka import Committed, Source
from sink.offsets import Note
from sink.writer import Writer
from stream.producer import Producer
from stream.records import Record
from stream.settings import StreamSettings

PLANTED_BUG = "PLANTED_BUG"
LATE_SECONDS = 1.0

FINDERS = {
    "ack before insert": "sink dies before Writer.insert",
    "commit before ack": "stream dies after Consumer.commit",
    "token left out": "late insert of a killed sink",
    "stock Faust transport": "SIGKILL stream",
}
"""Each bug, and the single fault under which it must show."""


def ack_before_insert() -> None:
    """The sink commits a batch's end where it should only note it."""
    commit = Source.commit

    async def early(self: Source, partition: int, committed: Committed) -> None:
        if committed.note.open_end is not None:
            committed = Committed(committed.note.open_end, Note(None, committed.note.highest_raw))
        await commit(self, partition, committed)

    Source.commit = early  # type: ignore[method-assign]  # that is the bug


def commit_before_ack() -> None:
    """The stream calls a run finished before Kafka has what became of it."""
    send, sending = Producer.send, set()

    async def late(self: Producer, topic: str, partition: int, records: Sequence[Record]) -> None:
        await asyncio.sleep(LATE_SECONDS)
        await send(self, topic, partition, records)

    async def early(self: Producer, topic: str, partition: int, records: Sequence[Record]) -> None:
        task = asyncio.create_task(late(self, topic, partition, records))
        sending.add(task)
        task.add_done_callback(sending.discard)

    Producer.send = early  # type: ignore[method-assign]  # that is the bug


def token_left_out() -> None:
    """Every insert has a name of its own, so ClickHouse never knows one again."""
    insert = Writer.insert

    async def nameless(
        self: Writer, table: str, container: Container, bodies: Sequence[bytes], deduplication_token: str
    ) -> None:
        await insert(self, table, container, bodies, deduplication_token + str(uuid.uuid4()))

    Writer.insert = nameless  # type: ignore[method-assign]  # that is the bug


def stock_faust_transport() -> None:
    """Runs stock Faust in the stream's place; does not return."""
    settings = load(StreamSettings, "STREAM_")
    prometheus_client.start_http_server(settings.stream_metrics_port, settings.metrics_host)
    sys.argv = ["rivals_stream", "faust", tempfile.mkdtemp(prefix="events-faust-")]
    runpy.run_module("tests.bench.rivals_stream", run_name="__main__", alter_sys=True)


PLANT: dict[tuple[str, str], Callable[[], None]] = {
    ("sink", "ack before insert"): ack_before_insert,
    ("stream", "commit before ack"): commit_before_ack,
    ("sink", "token left out"): token_left_out,
    ("stream", "stock Faust transport"): stock_faust_transport,
}
"""By process and bug."""
