"""The sink between a real Kafka and ClickHouse, while nothing fails."""

from pathlib import Path

from schemas.settings import ClickHouseSettings, KafkaSettings
from tests.services import wait_until
from tests.sink import Warehouse, exactly, feed, running_sink

READ_BACK = "SELECT count(), sum(properties.number::Int64) FROM {team}.events"


async def test_rows_when_records_come(kafka: KafkaSettings, clickhouse: ClickHouseSettings, tmp_path: Path) -> None:
    """Each record becomes one row, the team reads it through its own view, and SIGTERM ends the sink with 0."""
    warehouse = Warehouse(clickhouse)
    with running_sink(kafka, clickhouse, tmp_path / "sink.out") as sink:
        async with feed(kafka) as records:
            await records.all(range(2_000))
            wait_until(lambda: warehouse.rows() >= 8_000, "all rows")
            assert warehouse.per_partition() == exactly(2_000)
            view = warehouse.value(READ_BACK.format(team=records.team))
        assert view.split() == ["8000", str(4 * sum(range(2_000)))]
        assert sink.metric("eventsapi_rows_inserted_total") == 8_000
        assert sink.terminate() == 0
