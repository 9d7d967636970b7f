"""The schemas of the load: of some of its events, so that each table of theirs can be held against the table of all."""

from schemas.settings import KafkaSettings
from sink.tables import Tables
from sink.writer import Writer
from tests.typed import publish, version

# `noise` is never a number, so something of each event does not fit.
FIELDS = [
    {"name": "number", "type": ["null", "long"], "default": None},
    {"name": "noise", "type": ["null", "long"], "default": None},
]
SCHEMAS = [
    version(team, FIELDS, event=event, writer_id=writer_id)
    for team, event, writer_id in (("acme", "Step 1", 1_001), ("acme", "Step 2", 1_003), ("globex", "Step 1", 1_005))
]


async def register(kafka: KafkaSettings, tables: Tables, writer: Writer, settings: str) -> None:
    """Publish them, and make their tables with these settings."""
    await publish(kafka, *SCHEMAS)
    teams = {each.subject.team for each in SCHEMAS}
    await tables.ensure(teams, [each.writer_id for each in SCHEMAS])
    for each in SCHEMAS:
        await writer.execute(f"ALTER TABLE warehouse.`{each.subject.team}.{each.table}` MODIFY SETTING {settings}")
    await writer.execute(f"ALTER TABLE warehouse.discards MODIFY SETTING {settings}")
