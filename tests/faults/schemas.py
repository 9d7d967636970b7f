"""The schemas of the load: of some of its events, so that each table of theirs can be held against the table of all.

That of one event changes again and again while events come: a member that none of them has is required, and then not.
What becomes a dead letter for it is replayed in the end.
"""

import asyncio

from aiokafka import AIOKafkaProducer

from deploy.audit import AuditSettings
from deploy.dead_letters import Filters
from deploy.replay import Request, replay
from schemas.errors import ErrorCode
from schemas.registered import Version
from schemas.settings import KafkaSettings
from sink.tables import Tables
from sink.writer import Writer
from tests.services import eventually
from tests.typed import publish, version

CHANGE_SECONDS = 0.7
REPLAY_SECONDS = 120
# `noise` is never a number, so something of each event does not fit.
FIELDS = [
    {"name": "number", "type": ["null", "long"], "default": None},
    {"name": "noise", "type": ["null", "long"], "default": None},
]
SCHEMAS = [
    version(team, FIELDS, event=event, writer_id=writer_id)
    for team, event, writer_id in (("acme", "Step 1", 1_001), ("acme", "Step 2", 1_003), ("globex", "Step 1", 1_005))
]
CHANGING = ("acme", "Step 3")
_ABSENT = {"name": "absent", "type": "long"}


def _strict(*, deleted: bool = False) -> Version:
    """The version that refuses every event."""
    team, event = CHANGING
    return version(team, [*FIELDS, _ABSENT], event=event, number=2, writer_id=1_009, deleted=deleted)


async def change(kafka: KafkaSettings, stopping: asyncio.Event) -> None:
    """Change the schema until told to stop; the version that refuses nothing remains."""
    team, event = CHANGING
    changes = [version(team, FIELDS, event=event, writer_id=1_007), _strict(), _strict(deleted=True)]
    async with AIOKafkaProducer(**kafka.kafka_options(), acks="all", enable_idempotence=True) as producer:
        while not stopping.is_set():
            for each in changes:
                await producer.send_and_wait(kafka.topics.schemas, each.encode(), each.key, partition=0)
                await asyncio.sleep(CHANGE_SECONDS)


async def replay_refused(settings: AuditSettings, since_ms: int) -> None:
    """Replay what the schema refused since then, until none of it is refused again."""
    filters = Filters(reason=ErrorCode.MISSING_MEMBER.value, since_ms=since_ms)
    request = Request(filters, wait_seconds=REPLAY_SECONDS)

    async def none_left() -> bool:
        summary = await replay(settings, request, lambda _: True, lambda *_: None)
        return summary.settled and not summary.refused_again

    await eventually(none_left, "no event is refused for its schema", REPLAY_SECONDS)


async def register(kafka: KafkaSettings, tables: Tables, writer: Writer, settings: str) -> None:
    """Publish them, and make their tables with these settings."""
    await publish(kafka, *SCHEMAS)
    teams = {each.subject.team for each in SCHEMAS}
    await tables.ensure(teams, [each.writer_id for each in SCHEMAS])
    for each in SCHEMAS:
        await writer.execute(f"ALTER TABLE warehouse.`{each.subject.team}.{each.table}` MODIFY SETTING {settings}")
    await writer.execute(f"ALTER TABLE warehouse.discards MODIFY SETTING {settings}")
