"""Settings of the Live page, a part of the console's."""

from pydantic import Field, PositiveInt

from schemas.settings import ClickHouseUrl, KafkaSettings, WarehouseSettings


class LiveSettings(KafkaSettings, WarehouseSettings):
    """The ways to what passes and to what is stored, and how much of it is shown."""

    clickhouse_url: ClickHouseUrl | None = Field(
        None,
        description="for receipts and proposed schemas; with a user that may read the warehouse's table `events` "
        "and no more; without it a receipt does not tell what is stored",
    )
    console_live_events_per_second: PositiveInt = Field(
        50, description="how many new events of a team the Live page shows a second; all are counted"
    )
    console_live_viewers: PositiveInt = Field(100, description="how many browsers may look at Live pages at once")
    console_receipt_max_records: PositiveInt = Field(
        20_000, description="the most records of each topic that are read for a receipt"
    )
