"""Names of columns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.names import RESERVED, column_name, column_names, snake_case

avro_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,80}", fullmatch=True)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Purchased an Item", "purchased_an_item"),
        ("orderID", "order_id"),
        ("HTTPStatus2", "http_status2"),
        ("step_1", "step_1"),
        ("1st visit", "_1st_visit"),
        ("Größe (cm)", "groe_cm"),
        ("購入", "name_7b2d8a"),
    ],
)
def test_name_when_written_plainly(name: str, plain: str) -> None:
    """Words are joined with _ in lower case; accents go, and where nothing is left the name is made of a hash."""
    assert re.sub(r"name_[0-9a-f]{6}", "name_7b2d8a", snake_case(name)) == plain


@pytest.mark.parametrize(("field", "column"), [("team", "prop_team"), ("_x", "prop_x"), ("eventId", "prop_event_id")])
def test_column_when_its_name_is_ours(field: str, column: str) -> None:
    """It is given another one."""
    assert column_name(field) == column


def test_columns_when_names_collide() -> None:
    """Who is called so keeps it, the others get a suffix that depends on their name alone, and it is reported."""
    found = column_names(["orderTotal", "order_total", "OrderTotal", "price"])
    alone = column_names(["order_total", "orderTotal"])

    assert found.columns["order_total"] == "order_total"
    assert found.columns["price"] == "price"
    assert re.fullmatch(r"order_total_[0-9a-f]{6}", found.columns["orderTotal"])
    assert found.columns["orderTotal"] == alone.columns["orderTotal"]
    assert len(found.collisions) == 2
    assert "`orderTotal`" in found.collisions[0]
    assert "claimed by `order_total`" in found.collisions[0]


def test_columns_when_a_later_field_claims_one() -> None:
    """A column that a version has made stays, and the later field gets the suffix."""
    first = column_names(["orderTotal"])

    second = column_names(["orderTotal", "order_total"], first.columns)

    assert second.columns["orderTotal"] == "order_total"
    assert re.fullmatch(r"order_total_[0-9a-f]{6}", second.columns["order_total"])
    assert len(second.collisions) == 1


@given(st.lists(avro_names, unique=True, max_size=8))
def test_columns_when_names_are_any(fields: list[str]) -> None:
    """No two are the same, none is ours, and each is a plain identifier of at most 63 characters."""
    columns = column_names(fields).columns

    assert set(columns) == set(fields)
    assert len(set(columns.values())) == len(fields)
    assert not RESERVED & set(columns.values())
    assert all(re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", column) for column in columns.values())
