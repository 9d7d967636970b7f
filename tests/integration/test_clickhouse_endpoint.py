"""The endpoint over plain HTTP: what curl and any client library meet."""

import gzip
import subprocess
from collections import deque
from collections.abc import Iterator

import pytest
import requests

from deploy.local.clickhouse.users import Role
from tests.clickhouse_service import ClickHouseService, resident_bytes, running_clickhouse

TABLES = [
    "CREATE DATABASE IF NOT EXISTS warehouse",
    """CREATE TABLE warehouse.e (
        a Int8, j String EPHEMERAL,
        p JSON(max_dynamic_paths=9) DEFAULT if(empty(j), '{}', j)::JSON(max_dynamic_paths=9)
    ) ENGINE = ReplacingMergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 9""",
    'INSERT INTO warehouse.e (a, j) FORMAT JSONEachRow {"a": 1, "j": "{\\"x\\": 5}"}',
    "ALTER TABLE warehouse.e ADD COLUMN IF NOT EXISTS b Nullable(String), MODIFY SETTING merge_with_ttl_timeout = 9",
    "CREATE VIEW warehouse.v AS SELECT * FROM warehouse.e FINAL",
    "CREATE OR REPLACE VIEW warehouse.v AS SELECT a, p.x AS x FROM warehouse.e FINAL",
    "OPTIMIZE TABLE warehouse.e FINAL",
]


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseService]:
    """One endpoint for this file."""
    with running_clickhouse(tmp_path_factory.mktemp("clickhouse"), max_body_bytes=str(4 << 20)) as service:
        yield service


def streamed(clickhouse: ClickHouseService, sql: str) -> requests.Response:
    """The answer to a query, its body not read yet."""
    auth = ("sink", clickhouse.users.password(Role.SINK))
    return requests.post(clickhouse.address, data=sql, auth=auth, stream=True, timeout=60)


def test_health_when_nobody_logs_in(clickhouse: ClickHouseService) -> None:
    """/ping, /replicas_status and / answer Ok without a password; another path says where to go."""
    answers = [requests.get(clickhouse.address + path, timeout=10).text for path in ("/ping", "/replicas_status", "/")]
    lost = requests.get(clickhouse.address + "/nowhere", timeout=10)

    assert answers == ["Ok.\n"] * 3
    assert (lost.status_code, "/ping" in lost.text) == (404, True)


def test_curl_when_it_sends_sql_in_each_way(clickhouse: ClickHouseService) -> None:
    """In the body, in the URL, in both; with the password in the address."""
    url = clickhouse.url(Role.ANALYST)
    in_body = [url, "-d", "SELECT 1 + 1"]
    in_url = ["-G", url, "--data-urlencode", "query=SELECT 1 + 1"]
    in_both = [f"{url}/?query=SELECT+1", "-d", "+ 1"]

    printed = [subprocess.check_output(["curl", "-sSf", *way], text=True) for way in (in_body, in_url, in_both)]

    assert printed == ["2\n"] * 3


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELEC 1", 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 400, 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nope", 404, 60, "UNKNOWN_TABLE"),
        ("SELECT nope", 404, 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nope.nope", 404, 81, "UNKNOWN_DATABASE"),
        ("SELECT 1 FORMAT Nope", 404, 73, "UNKNOWN_FORMAT"),
        ("SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT 1 SETTINGS nope = 1", 404, 115, "UNKNOWN_SETTING"),
        ("INSERT INTO nope FORMAT CSV\n1", 404, 60, "UNKNOWN_TABLE"),
    ],
)
def test_error_when_clickhouse_refuses(
    clickhouse: ClickHouseService, sql: str, status: int, code: int, name: str
) -> None:
    """Status, number in the header and in the body, and name are ClickHouse's."""
    answer = clickhouse.post(sql)

    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code)), answer.text
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert f"({name}) (version " in answer.text


def test_login_when_it_is_wrong(clickhouse: ClickHouseService) -> None:
    """403 with number 516; there is no user `default` with an empty password."""
    logins = (None, ("default", ""), ("sink", "x"))
    answers = [requests.post(clickhouse.address, data="SELECT 1", auth=auth, timeout=10) for auth in logins]

    codes = [(answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) for answer in answers]
    assert codes == [(403, "516")] * 3


def test_headers_when_a_query_answers(clickhouse: ClickHouseService) -> None:
    """They name query, format, time zone and host; the summary counts what was read."""
    answer = clickhouse.post("SELECT number FROM numbers(10)", {"query_id": "mine", "default_format": "JSONEachRow"})

    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert {"X-ClickHouse-Timezone", "X-ClickHouse-Server-Display-Name"} <= set(answer.headers)
    assert '"read_rows":"10"' in answer.headers["X-ClickHouse-Summary"]


def test_parameters_when_they_hold_quotes_and_tabs(clickhouse: ClickHouseService) -> None:
    """{name:Type} gets the value of param_name, in ClickHouse's escaping; the database may have any name."""
    clickhouse.value("CREATE DATABASE IF NOT EXISTS `odd ``name`")
    text = clickhouse.value(
        "SELECT {a:Array(UInt8)}, hex({s:String}), {n:Nullable(String)} IS NULL, currentDatabase()",
        {"param_a": "[1,2]", "param_s": "it's\\ta", "param_n": "\\N", "database": "odd `name"},
    )

    assert text.split("\t") == ["[1,2]", b"it's\ta".hex().upper(), "1", "odd `name"]


@pytest.mark.parametrize("format_name", ["CSVWithNames", "Native", "Parquet", "Arrow", "XML"])
def test_result_when_it_is_of_many_blocks(clickhouse: ClickHouseService, format_name: str) -> None:
    """It is one document in every format, the same as with wait_end_of_query=1."""
    sql = "SELECT number, toString(number) AS text FROM numbers(300000) ORDER BY number"
    url = {"default_format": format_name}
    contents = [clickhouse.post(sql, {**url, **more}).content for more in ({}, {"wait_end_of_query": "1"})]
    documents = [content.split(b"<statistics>")[0] for content in contents]  # XML ends with how long the query took

    assert len(documents[0]) > 1_000_000
    assert documents[0] == documents[1]


def test_result_when_it_is_json(clickhouse: ClickHouseService) -> None:
    """A JSON result of several MiB parses, rows and all."""
    answer = clickhouse.post("SELECT number FROM numbers(300000) FORMAT JSON").json()

    assert (answer["rows"], len(answer["data"])) == (300_000, 300_000)


def test_result_when_it_is_large(clickhouse: ClickHouseService) -> None:
    """1 GB passes through in pieces: the process grows by a fraction of it."""
    clickhouse.value("SELECT count() FROM numbers(1000000) WHERE NOT ignore(repeat('x', 100))")
    before, peak, size = resident_bytes(clickhouse.running.pid), 0, 0
    with streamed(clickhouse, "SELECT repeat('x', 99) FROM numbers(10000000) FORMAT TSV") as answer:
        for number, piece in enumerate(answer.iter_content(1 << 20)):
            size += len(piece)
            if number % 50 == 0:
                peak = max(peak, resident_bytes(clickhouse.running.pid))

    assert size == 100 * 10_000_000
    assert peak - before < 200 * 1024 * 1024


def test_result_when_it_fails_on_the_way(clickhouse: ClickHouseService) -> None:
    """The answer has begun with 200, so it breaks off, and its last bytes say why; with wait_end_of_query it is 500."""
    sql = "SELECT throwIf(number = 2999999), repeat('x', 20) FROM numbers(3000000) FORMAT TSV"
    got = bytearray()
    with streamed(clickhouse, sql) as answer, pytest.raises(requests.exceptions.ChunkedEncodingError):
        deque(map(got.extend, answer.iter_content(1 << 16)), maxlen=0)
    whole = clickhouse.post(sql, {"wait_end_of_query": "1"})

    tag = answer.headers["X-ClickHouse-Exception-Tag"]
    assert bytes(got).endswith(f" {tag}\r\n__exception__\r\n".encode())
    assert f"__exception__\r\n{tag}\r\nCode: 395. ".encode() in got
    assert (whole.status_code, whole.headers["X-ClickHouse-Exception-Code"]) == (500, "395")


def test_insert_when_data_comes_in_each_way(clickhouse: ClickHouseService) -> None:
    """SQL in the URL and rows in the body, both in the body, VALUES, INSERT … SELECT, packed rows: each is there."""
    clickhouse.value("CREATE OR REPLACE TABLE ways (a Int32, s String) ENGINE = MergeTree ORDER BY a")
    packed = gzip.compress(b"6,gzip\n")
    answers = [
        clickhouse.post("INSERT INTO ways FORMAT CSV", data=b"1,url\n"),
        clickhouse.post('insert into ways (a, s) -- FORMAT TSV\n format JSONEachRow\n{"a": 2, "s": "FORMAT; VALUES"}'),
        clickhouse.post("INSERT INTO ways VALUES (3, ';'), (1 + {n:Int32}, concat('a', 'b'));", {"param_n": "3"}),
        clickhouse.post("INSERT INTO ways SELECT 5, 'select'"),
        clickhouse.post("INSERT INTO ways FORMAT CSV", data=packed, headers={"Content-Encoding": "gzip"}),
        clickhouse.post("INSERT INTO ways SETTINGS async_insert = 0 FORMAT RowBinary", data=b"\x07\0\0\0\x01\xff"),
    ]

    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
    assert '"written_rows":"2"' in answers[2].headers["X-ClickHouse-Summary"]
    assert clickhouse.value("SELECT arraySort(groupArray(a)) FROM ways") == "[1,2,3,4,5,6,7]"


def test_insert_when_its_body_is_bad(clickhouse: ClickHouseService) -> None:
    """Cut short, too large when unpacked, or wrong in its last row: nothing of it is inserted."""
    clickhouse.value("CREATE OR REPLACE TABLE bad (a Int32) ENGINE = MergeTree ORDER BY a")
    packed = {"Content-Encoding": "gzip"}
    bodies = [
        (gzip.compress(b"1\n" * 9)[:-4], packed),
        (gzip.compress(b"1\n" * (3 << 20)), packed),
        (b"1\n2\nthree\n", {}),
    ]

    answers = [clickhouse.post("INSERT INTO bad FORMAT CSV", data=body, headers=headers) for body, headers in bodies]

    assert [answer.headers["X-ClickHouse-Exception-Code"] for answer in answers] == ["271", "307", "117"]
    assert clickhouse.value("SELECT count() FROM bad") == "0"


def test_answer_when_the_client_accepts_packing(clickhouse: ClickHouseService) -> None:
    """It is packed only where enable_http_compression=1 asks for it, large or small, errors never."""
    url, headers = {"enable_http_compression": "1"}, {"Accept-Encoding": "gzip"}
    small = clickhouse.post("SELECT 1", url, headers=headers)
    large = clickhouse.post("SELECT number FROM numbers(500000)", url, headers=headers)
    plain = clickhouse.post("SELECT 1", headers=headers)

    assert [answer.headers.get("Content-Encoding") for answer in (small, large, plain)] == ["gzip", "gzip", None]
    assert (small.text, len(large.text.splitlines())) == ("1\n", 500_000)


def test_get_when_it_would_write(clickhouse: ClickHouseService) -> None:
    """It is refused with number 164 and the advice to use POST; a query by GET answers."""
    auth = ("sink", clickhouse.users.password(Role.SINK))
    write, read = {"query": "CREATE TABLE x (a Int8) ENGINE = Memory"}, {"query": "SELECT 1"}
    refused = requests.get(clickhouse.address, params=write, auth=auth, timeout=10)
    answered = requests.get(clickhouse.address, params=read, auth=auth, timeout=10)

    assert (refused.headers["X-ClickHouse-Exception-Code"], "use method POST" in refused.text) == ("164", True)
    assert answered.text == "1\n"


def test_statements_when_the_sink_keeps_its_tables(clickhouse: ClickHouseService) -> None:
    """All DDL that the pipeline needs works: JSON, EPHEMERAL, views, ALTER, OPTIMIZE, SHOW and the like."""
    for sql in TABLES:
        clickhouse.value(sql)

    assert clickhouse.value("SELECT x::Int8 FROM warehouse.v") == "5"
    assert clickhouse.value("EXISTS warehouse.e") == "1"
    assert "EPHEMERAL" in clickhouse.value("DESCRIBE warehouse.e")
    assert clickhouse.value("SHOW TABLES FROM warehouse") == "e\nv"
