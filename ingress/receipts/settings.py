"""Settings of the receipts, a part of the ingress's."""

from pydantic import Field, PositiveFloat, PositiveInt

from schemas.settings import ClickHouseUrl, KafkaSettings, WarehouseSettings


class ReceiptSettings(KafkaSettings, WarehouseSettings):
    """The ways to what is known of an event, and how much may be asked of them."""

    clickhouse_url: ClickHouseUrl | None = Field(
        None,
        description="with a user that may read the warehouse's table `events` and no more; "
        "without it a receipt does not tell what is stored",
    )
    ingress_receipts_per_second: PositiveFloat = Field(
        5, description="how often a token may ask for receipts; ten times as much at once"
    )
    ingress_receipt_max_records: PositiveInt = Field(
        20_000, description="the most records of each topic that are read for a receipt"
    )
