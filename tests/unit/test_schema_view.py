"""What the Schemas pages make of schemas, columns and words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.console.pages import with_code
from ingress.console.schema_view import ColumnRow, column_rows, majors_in_use, own_subject, pretty, table_note
from ingress.registry.draft import Known, draft, parsed
from ingress.registry.store import Listed
from schemas.registered import Subject
from tests.accounts import NOW

ORDER = Subject("acme", "Order")


def optional(name: str, **more: str) -> dict[str, object]:
    """A field."""
    return {"name": name, **more, "type": ["null", "long"], "default": None}


def test_columns_when_names_are_taken() -> None:
    """Each column that is not called as its field says why; plain snake_case needs no words."""
    names = ["total", "orderTotal", "orderID", "order_id", "event", "_raw"]
    text = json.dumps({"type": "record", "name": "O", "fields": [optional(name) for name in names]})

    rows = column_rows(draft(ORDER, text, parsed(text), Known()))

    assert {row.field: row.note for row in rows} == {
        "total": "",
        "orderTotal": "",
        "orderID": "order_id is another field's",
        "order_id": "",
        "event": "event is a name of ours",
        "_raw": "_raw is a name of ours",
    }


def test_column_when_filled_from_another_member() -> None:
    """The property is told where it is not called as the field; a version shows what its draft did."""
    text = json.dumps({"type": "record", "name": "O", "fields": [optional("total", property="Order Total")]})
    made = draft(ORDER, text, parsed(text), Known())

    assert column_rows(made) == [ColumnRow("total", "Order Total", "total", "Nullable(Int64)", "")]
    assert column_rows(made.version(1_000, 1_001)) == column_rows(made)


def test_table_when_it_is_called_otherwise() -> None:
    """It is told why, of each major."""
    assert table_note(ORDER, "order") == table_note(Subject("acme", "Order", 2), "order_v2") == ""
    assert "order_v2 is ours" in table_note(Subject("acme", "Order", 2), "order_ab12cd_v2")


def test_majors_when_one_has_no_version() -> None:
    """Only those with one count, and of that event."""
    versions = [
        (ORDER, 1),
        (Subject("acme", "Order", 2), 0),
        (Subject("acme", "Order", 3), 2),
        (Subject("acme", "x"), 1),
    ]

    assert majors_in_use([Listed(subject, "t", count, NOW) for subject, count in versions], "Order") == [1, 3]


def test_subject_when_another_teams() -> None:
    """It is none, and neither is what is no subject at all."""
    assert own_subject("acme", "acme.Order@2") == Subject("acme", "Order", 2)
    assert (own_subject("acme", "other.Order"), own_subject("acme", "acme"), own_subject("acme", "acme.x@1")) == (
        None,
        None,
        None,
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
)


@given(json_values)
def test_schema_when_laid_out(value: object) -> None:
    """It says the same, in lines of which only a single value is a long one."""
    assert json.loads(pretty(json.dumps(value))) == value


def test_schema_when_it_fits_into_lines() -> None:
    """A field is a line."""
    fields = [optional("first"), optional("second")]
    laid_out = pretty(json.dumps({"type": "record", "name": "O", "fields": fields})).splitlines()

    assert laid_out[-4:] == [f"    {json.dumps(fields[0])},", f"    {json.dumps(fields[1])}", "  ]", "}"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("`a` was", "<code>a</code> was"),
        ("no <b>", "no &lt;b&gt;"),
        ("`<b>` and `c`", "<code>&lt;b&gt;</code> and <code>c</code>"),
        ("a ` alone <b>", "a ` alone &lt;b&gt;"),
    ],
)
def test_words_when_they_hold_names(words: str, shown: str) -> None:
    """What stands between backticks is code, and nothing is markup."""
    assert with_code(words) == shown
