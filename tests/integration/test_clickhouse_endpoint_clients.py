"""Unmodified clients against the endpoint."""

import asyncio
import datetime as dt
import json
from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.local.clickhouse.users import Role
from tests import node
from tests.clickhouse_service import ClickHouseService, running_clickhouse

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseService]:
    """One endpoint for this file."""
    with running_clickhouse(tmp_path_factory.mktemp("clickhouse")) as service:
        yield service


@pytest.fixture(params=["lz4", "zstd", "gzip", False])
def client(request: pytest.FixtureRequest, clickhouse: ClickHouseService) -> Iterator[Client]:
    """clickhouse-connect as the sink, with each compression."""
    connected = clickhouse_connect.get_client(dsn=clickhouse.url(Role.SINK), compress=request.param)
    yield connected
    connected.close()


def test_python_client_when_it_inserts_and_queries(client: Client) -> None:
    """Rows come back as they went in, with server-side parameters, through a typed table and a JSON column."""
    client.command(
        "CREATE OR REPLACE TABLE c (a UInt32, s String, d DateTime64(3, 'UTC'), j JSON) ENGINE = MergeTree ORDER BY a"
    )
    rows = [[1, "one", NOW, {"x": 1}], [2, "it's", NOW, {"x": 2}]]

    written = client.insert("c", rows, column_names=["a", "s", "d", "j"])
    found = client.query("SELECT a, s, d, j.x::Int64 FROM c WHERE s = {s:String}", parameters={"s": "it's"})

    assert written.written_rows == 2
    assert found.result_rows == [(2, "it's", NOW.replace(tzinfo=None), 2)]


def test_python_client_when_it_streams(client: Client) -> None:
    """A large result comes whole; one that fails on the way raises ClickHouse's error, not an end."""
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(1000000)") as blocks:
        assert sum(len(block) for block in blocks) == 1_000_000
    failing = "SELECT throwIf(number = 2999999), number FROM numbers(3000000)"
    with client.query_row_block_stream(failing) as blocks, pytest.raises(ClickHouseError, match="395"):
        list(blocks)


def test_python_client_when_it_inserts_raw_twice_with_one_token(client: Client) -> None:
    """raw_insert with settings: the repeat is dropped, as the sink relies on."""
    client.command(
        "CREATE OR REPLACE TABLE raw (a UInt32, s String) ENGINE = MergeTree ORDER BY a "
        "SETTINGS non_replicated_deduplication_window = 1000"
    )
    settings = {"insert_deduplication_token": "events.normalized/0/0-1", "async_insert": 0}
    for _ in range(2):
        client.raw_insert("raw", ["a", "s"], b"1,x\n2,y\n", settings=settings, fmt="CSV")

    assert client.query("SELECT count() FROM raw").result_rows == [(2,)]


async def test_async_python_client_when_it_works_concurrently(clickhouse: ClickHouseService) -> None:
    """Inserts and queries of one client overlap; an analyst's client connects too."""
    client = await clickhouse_connect.get_async_client(dsn=clickhouse.url(Role.SINK), autogenerate_session_id=False)
    analyst = await clickhouse_connect.get_async_client(dsn=clickhouse.url(Role.ANALYST))
    await client.command("CREATE OR REPLACE TABLE many (a UInt32) ENGINE = MergeTree ORDER BY a")

    await asyncio.gather(*(client.raw_insert("many", ["a"], f"{n}\n".encode(), fmt="CSV") for n in range(30)))
    counted = await analyst.query("SELECT sum(a) FROM many")
    async with await analyst.query_row_block_stream("SELECT number FROM numbers(300000)") as blocks:
        streamed = [len(block) async for block in blocks]
    await client.close()
    await analyst.close()

    assert counted.result_rows == [(sum(range(30)),)]
    assert sum(streamed) == 300_000


def test_node_client_when_it_does_everything(clickhouse: ClickHouseService) -> None:
    """ClickHouse's own client for Node.js: ping, DDL, packed insert, parameters, streaming, errors."""
    node.install()

    seen = json.loads(node.run("clickhouse.mjs", CLICKHOUSE_URL=clickhouse.url(Role.SINK)))

    assert (seen["ping"], seen["rows"], seen["streamed"]) == (True, [{"id": 2, "name": "two"}], 500_000)
    assert seen["syntax"]["code"] == "62"
    assert seen["broken"] is not None
