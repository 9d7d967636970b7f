"""Statements: what kind they are and where data begins, in the oddest SQL that clients send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.statement import StatementKind, parse

INSERTS = {
    b"INSERT INTO t FORMAT Avro\nObj\x01\xff": ("Avro", b"Obj\x01\xff"),
    b"insert into a.b (x, `y)`)\n  format JSONEachRow {}": ("JSONEachRow", b"{}"),
    b"INSERT INTO t (a) FORMAT CSV\r\n\r\n1": ("CSV", b"\r\n1"),
    b"-- FORMAT TSV\n/* VALUES /* nested */ */ INSERT INTO t FORMAT CSV 1": ("CSV", b"1"),
    b"INSERT INTO t SETTINGS a = 'FORMAT x', b = 1 FORMAT Native \nN": ("Native", b"N"),
    b"INSERT INTO t VALUES (1, ';'); ": ("Values", b" (1, ';'); "),
    b"insert into values values (1)": ("Values", b" (1)"),
    b"INSERT INTO format FORMAT CSV 1": ("CSV", b"1"),
    b"INSERT INTO TABLE FUNCTION null('a Int VALUES') FORMAT CSV 1": ("CSV", b"1"),
    b"INSERT INTO t FORMAT Values (1)": ("Values", b"(1)"),
    b'INSERT INTO `FORMAT`."VALUES" (`FORMAT`) FORMAT TSV\n': ("TSV", b""),
    b"WITH x AS (SELECT 1) INSERT INTO t FORMAT CSV 1": ("CSV", b"1"),
}
SELECTS = {
    b"SELECT 1": None,
    b"select ';' ; -- the end": None,
    b"SELECT * FROM t FORMAT JSON": "JSON",
    b"SELECT 1 format\tCSV SETTINGS max_threads = 1;": "CSV",
    b"SELECT 'a FORMAT JSON'": None,
    b"SELECT $$ FORMAT JSON $$ FORMAT TSV": "TSV",
    b"SELECT format FROM t": None,
    b"SELECT * FROM format f": None,
    b"SELECT (SELECT 1 FORMAT JSON) FORMAT CSV": "CSV",
    b"SELECT insert, values FROM t": None,
    b"(SELECT 1) UNION ALL (SELECT 2) FORMAT Native": "Native",
    b"WITH x AS (SELECT 1) SELECT * FROM x FORMAT Vertical -- FORMAT JSON": "Vertical",
    b"# comment\n#!more\nFROM t SELECT 1 FORMAT TSV": "TSV",
    "SELECT \u2018FORMAT JSON\u2019 AS \u201cFORMAT CSV\u201d".encode(): None,
}
OTHERS = [
    b"INSERT INTO t SELECT values FROM u",
    b"INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x FORMAT Null",
    b"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
    b"CREATE TABLE t (a Int) ENGINE = Memory",
    b"EXPLAIN INSERT INTO t VALUES (1)",
    b"SHOW TABLES FORMAT JSON",
    b"KILL QUERY WHERE query_id = 'x'",
]


@pytest.mark.parametrize("text", INSERTS)
def test_insert_when_data_follows(text: bytes) -> None:
    """The format is found, and the data begins at its first byte."""
    statement = parse(text)

    assert statement.kind is StatementKind.INSERT_DATA
    assert (statement.format, text[statement.data_at :]) == INSERTS[text]


def test_insert_when_its_data_is_in_a_file() -> None:
    """The file comes before the settings, as the grammar wants it; the rest is the client's."""
    statement = parse(b"INSERT INTO t (a) SETTINGS x = 'VALUES' VALUES (1)")

    assert statement.from_file("/f") == "INSERT INTO t (a)  FROM INFILE '/f' SETTINGS x = 'VALUES'  FORMAT Values"


@pytest.mark.parametrize("text", SELECTS)
def test_select_when_it_has_a_format_or_not(text: bytes) -> None:
    """Only a FORMAT clause is one: not a string, a comment, a column or a table of that name."""
    statement = parse(text)

    assert (statement.kind, statement.format) == (StatementKind.SELECT, SELECTS[text])


def test_select_when_its_result_goes_to_a_file() -> None:
    """The file comes before FORMAT, and a trailing comment cannot swallow it."""
    with_format = parse(b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1;")
    without = parse(b"SELECT 1 -- done")

    assert with_format.into_file("/f", "TSV") == (
        "SELECT 1  INTO OUTFILE '/f' TRUNCATE FORMAT CSV SETTINGS max_threads = 1"
    )
    assert without.into_file("/f", "TSV") == "SELECT 1 INTO OUTFILE '/f' TRUNCATE FORMAT TSV"


@pytest.mark.parametrize("text", OTHERS)
def test_other_when_no_data_follows_and_nothing_streams(text: bytes) -> None:
    """INSERT … SELECT, DDL and the like run as they stand."""
    assert parse(text).kind is StatementKind.OTHER


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1; DROP TABLE t",
        b"SELECT 1;;SELECT 2",
        b"",
        b" -- nothing\n;",
        b"'",
        b"SELECT 'a\\'",
        b"SELECT \xe2\x80\x98a",
    ],
)
def test_statement_when_there_is_none_or_a_second_or_an_open_quote(text: bytes) -> None:
    """It is refused as a syntax error; a second statement never runs."""
    with pytest.raises(ClickHouseError) as refused:
        parse(text)
    assert refused.value.code == 62


def test_statement_when_a_name_is_replaced() -> None:
    """Only the identifier changes, quoted or not; strings and comments stay."""
    statement = parse(b"KILL QUERY WHERE `query_id` = 'query_id' OR query_id = 'x' -- query_id")

    assert statement.with_names_as("query_id", "Q") == "KILL QUERY WHERE Q = 'query_id' OR Q = 'x'"


@given(st.binary(max_size=200))
def test_insert_when_any_bytes_follow(data: bytes) -> None:
    """What stands behind the format is never looked at."""
    text = b"INSERT INTO t (a) FORMAT RowBinary\n" + data
    assert text[parse(text).data_at :] == data


@given(st.text(max_size=100))
def test_statement_when_a_string_holds_anything(text: str) -> None:
    """A quoted string stays one token, whatever is in it."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    statement = parse(f"SELECT '{quoted}' FORMAT CSV".encode())

    assert (statement.format, len(statement.tokens)) == ("CSV", 4)
