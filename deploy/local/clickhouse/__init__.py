"""ClickHouse on one machine without a server: chdb behind ClickHouse's HTTP interface."""
