"""Coercion: what fits is exactly what was sent, what does not is null and told, and nothing is ever altered."""

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.errors import ErrorCode, InvalidEvent
from schemas.typed import SchemaError, parse_schema
from schemas.values.coerce import MAX_DISCARDS, Coerced, Coercion, Discard
from schemas.written import typed_fields

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}
DATE = {"type": "int", "logicalType": "date"}
UUID_TYPE = {"type": "string", "logicalType": "uuid"}
ENUM = {"type": "enum", "name": "E", "symbols": ["EUR", "USD"]}
PLACE = {
    "type": "record",
    "name": "Place",
    "fields": [
        {"name": "zip", "type": "string"},
        {"name": "size", "type": "int", "default": 7},
        {"name": "floor", "type": ["null", "int"], "property": "The Floor"},
    ],
}
NEW_YEAR = datetime(2026, 1, 1, 10, tzinfo=UTC)


class Typed:
    """A coercion of one field `x`, whose bytes are read back by fastavro."""

    def __init__(self, of: object, **more: object) -> None:
        fields = [{"name": "x", "type": of} | more]
        schema = parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields}))
        self._coercion = Coercion(schema)
        self._schema = fastavro.parse_schema({"type": "record", "name": "W", "fields": typed_fields(schema)})

    def value(self, json_text: str) -> tuple[Any, list[Discard]]:
        """What becomes of a value, written as JSON."""
        return self.read(self._coercion.apply(b'{"other": 1.5, "x": %b}' % json_text.encode()))

    def read(self, coerced: Coerced) -> tuple[Any, list[Discard]]:
        """The value and the discards; the bytes must end where the value does."""
        body = io.BytesIO(coerced.body)
        record: Any = fastavro.schemaless_reader(body, self._schema, None)
        assert body.read() == b""
        return record["x"], coerced.discards

    def of(self, properties: str) -> tuple[Any, list[Discard]]:
        """The same for a whole object."""
        return self.read(self._coercion.apply(properties.encode()))


@pytest.mark.parametrize(
    ("of", "sent", "stored"),
    [
        ("double", '"39.95"', 39.95),
        ("double", "39.95", 39.95),
        ("double", "0.0", 0.0),
        ("double", "3", 3.0),
        ("double", '"1e3"', 1000.0),
        ("double", "0.10000000000000001", 0.1),
        ("double", "9007199254740992", 2.0**53),
        ("long", '"12"', 12),
        ("long", "5.0", 5),
        ("long", "1e3", 1000),
        ("long", "-9223372036854775808", -(2**63)),
        ("boolean", "true", True),
        ("boolean", '"FALSE"', False),
        ("boolean", "1", True),
        ("boolean", "0", False),
        ("string", "39.950", "39.950"),
        ("string", "true", "true"),
        ("string", '{"a": [1.50, null, "é"]}', '{"a":[1.50,null,"é"]}'),
        ("string", '"é"', "é"),
        ("bytes", '"/w=="', b"\xff"),
        (ENUM, '"EUR"', "EUR"),
        (UUID_TYPE, '"0BFD71C7-1B26-4048-81DB-EE67E1EDB90F"', UUID("0bfd71c7-1b26-4048-81db-ee67e1edb90f")),
        (UUID_TYPE, '"{0bfd71c71b26404881dbee67e1edb90f}"'.replace("{", "").replace("}", ""), None),
        (UUID_TYPE, '"urn:uuid:0bfd71c7-1b26-4048-81db-ee67e1edb90f"', None),
        (UUID_TYPE, '"{0bfd71c7-1b26-4048-81db-ee67e1edb90f}"', None),
        (DATE, '"2026-01-01"', date(2026, 1, 1)),
        (DATE, '"2026-01-01T00:00:00Z"', date(2026, 1, 1)),
        (TIMESTAMP, '"2026-01-01T10:00:00Z"', NEW_YEAR),
        (TIMESTAMP, '"2026-01-01T12:00:00.000000000+02:00"', NEW_YEAR),
        (TIMESTAMP, '"2026-01-01 04:30:00-05:30"', NEW_YEAR),
        (TIMESTAMP, '"2026-01-01"', datetime(2026, 1, 1, tzinfo=UTC)),
        (TIMESTAMP, "1767261600", NEW_YEAR),
        (TIMESTAMP, '"1767261600"', NEW_YEAR),
        (TIMESTAMP, "1767261600.25", NEW_YEAR + timedelta(milliseconds=250)),
        (TIMESTAMP, "1767261600000", NEW_YEAR),
        (TIMESTAMP, "1767261600000.5", NEW_YEAR + timedelta(microseconds=500)),
        (TIMESTAMP, "1767261600000001", NEW_YEAR + timedelta(microseconds=1)),
        (DECIMAL, '"39.95"', Decimal("39.95")),
        (DECIMAL, "39.95", Decimal("39.95")),
        (DECIMAL, "-0.5", Decimal("-0.50")),
        (DECIMAL, "1e2", Decimal("100.00")),
        (DECIMAL, "9" * 36, Decimal("9" * 36)),
        ({"type": "array", "items": "int"}, '[1, "2", null]', [1, 2, None]),
        ({"type": "array", "items": "int"}, "[]", []),
        ({"type": "map", "values": "double"}, '{"a": "1.5", "b": null}', {"a": 1.5, "b": None}),
        (PLACE, '{"zip": 10115, "The Floor": 3, "more": 1}', {"zip": "10115", "size": 7, "floor": 3}),
    ],
)
def test_value_when_it_fits(of: object, sent: str, stored: object) -> None:
    """It is stored as what it says, in whichever way it was written."""
    value, discards = Typed(of).value(sent)

    assert discards == []
    assert value == (UUID("0bfd71c7-1b26-4048-81db-ee67e1edb90f") if stored is None else stored)


@pytest.mark.parametrize(
    ("of", "sent", "reason"),
    [
        ("double", '"NaN"', "is no number"),
        ("double", '"Infinity"', "is no number"),
        ("double", '"1_0"', "is no number"),
        ("double", '"٣"', "is no number"),
        ("double", "true", "is no number"),
        ("double", "9007199254740993", "beyond 2^53"),
        ("double", '"9007199254740993"', "beyond 2^53"),
        ("double", "1e999", "range"),
        ("double", "1e-999", "more digits"),
        ("double", "0.1000000000000000000001", "more digits"),
        ("long", "5.5", "whole number"),
        ("long", "9223372036854775808", "64 bits"),
        ("long", "1e99999999999999999999", "exponent"),
        ("long", "1e400", "64 bits"),
        ("long", "true", "no number"),
        ("long", '""', "no number"),
        ("boolean", "2", "neither"),
        ("boolean", "1.0", "neither"),
        ("boolean", '"yes"', "neither"),
        ("bytes", '"_"', "base64"),
        ("bytes", "1", "base64"),
        (ENUM, '"eur"', "none of the symbols"),
        (ENUM, "[]", "none of the symbols"),
        (UUID_TYPE, '"0bfd71c7-1b26-4048-81db-ee67e1edb90"', "UUID"),
        (UUID_TYPE, "1", "UUID"),
        (DATE, '"2026-02-30"', "calendar"),
        (DATE, '"2026-01-01T10:00:00Z"', "time of one"),
        (DATE, '"1899-12-31"', "1900 to 2299"),
        (TIMESTAMP, '"2026-01-01T10:00:00"', "time zone"),
        (TIMESTAMP, '"2026-01-01T10:00:00.1234567Z"', "finer"),
        (TIMESTAMP, '"2026-01-01T10:00:60Z"', "time of a day"),
        (TIMESTAMP, '"2026-01-01x10:00:00Z"', "RFC 3339"),
        (TIMESTAMP, '"2026-"', "RFC 3339"),
        (TIMESTAMP, '"1899-12-31T23:59:59Z"', "1900 to 2299"),
        (TIMESTAMP, '"2299-12-31T23:59:59-01:00"', "1900 to 2299"),
        (TIMESTAMP, "99999999999", "1900 to 2299"),
        (TIMESTAMP, "1767261600.1234567", "finer"),
        (TIMESTAMP, '"1767261600.00000000000000000000000000001"', "finer"),
        (TIMESTAMP, "1e300", "1900 to 2299"),
        (TIMESTAMP, "true", "no time"),
        (DECIMAL, "39.955", "after the point"),
        (DECIMAL, "1" + "0" * 36, "38 digits"),
        ({"type": "array", "items": "int"}, '"a"', "no array"),
        ({"type": "map", "values": "int"}, "[1]", "no object"),
        (PLACE, "1", "no object"),
    ],
)
def test_value_when_it_does_not_fit(of: object, sent: str, reason: str) -> None:
    """It is null, and the discard says which value was not what, and why; the event is none the worse."""
    value, (discard,) = Typed(of).value(sent)

    assert value is None
    assert discard.field == "x"
    assert discard.value == sent[:1_000]
    assert reason in discard.reason


@pytest.mark.parametrize(
    ("of", "sent", "stored", "where"),
    [
        ({"type": "array", "items": "int"}, '[1, "x", 3]', [1, None, 3], "x[1]"),
        ({"type": "map", "values": "int"}, '{"a": 1.5}', {"a": None}, "x.a"),
        (PLACE, '{"zip": "1", "size": "S"}', {"zip": "1", "size": None, "floor": None}, "x.size"),
        (PLACE, '{"size": null}', {"zip": None, "size": 7, "floor": None}, "x.zip"),
        ({"type": "array", "items": {"type": "array", "items": "int"}}, "[[1], [2, {}]]", [[1], [2, None]], "x[1][1]"),
    ],
)
def test_value_when_something_within_it_does_not_fit(of: object, sent: str, stored: object, where: str) -> None:
    """That alone is null, and the discard says where it is."""
    value, (discard,) = Typed(of).value(sent)

    assert value == stored
    assert discard.field == where


@pytest.mark.parametrize(
    ("of", "more", "properties", "stored"),
    [
        (["null", "int"], {}, "{}", None),
        (["null", "int"], {"default": None}, '{"x": null}', None),
        ("int", {"default": 5}, "{}", 5),
        ("int", {"default": 5}, '{"x": null}', 5),
        (["int", "null"], {"default": 5}, "{}", 5),
        (["int", "null"], {"default": 5}, '{"x": null}', None),
        (DATE, {"default": 1}, "{}", date(1970, 1, 2)),
        (DECIMAL, {"default": "\u000f\u009b"}, "{}", Decimal("39.95")),
        ({"type": "array", "items": "double"}, {"default": [1.5]}, "{}", [1.5]),
        ("int", {"property": "Order Total"}, '{"Order Total": 3, "x": 4}', 3),
    ],
)
def test_member_when_it_is_absent_or_null(of: object, more: dict[str, object], properties: str, stored: object) -> None:
    """An absent member takes its default, and so does null where the field cannot be null."""
    assert Typed(of, **more).of(properties) == (stored, [])


@pytest.mark.parametrize("properties", ["{}", '{"x": null}'])
def test_event_when_a_required_member_is_missing(properties: str) -> None:
    """It is refused, with the member; a value that does not fit is one all the same."""
    typed = Typed("int", property="The X")

    with pytest.raises(InvalidEvent) as refused:
        typed.of(properties)

    assert refused.value.code is ErrorCode.MISSING_MEMBER
    assert refused.value.field == "properties.The X"
    assert typed.of('{"The X": "many"}')[0] is None


def test_schema_when_its_default_does_not_fit() -> None:
    """It is refused: a default is a value like any other."""
    with pytest.raises(SchemaError, match="`x`: the default lies outside 1900 to 2299"):
        Typed(DATE, default=-100_000)


def test_discards_when_there_are_many() -> None:
    """No more are told than fit into a record, and how many there were."""
    value, discards = Typed({"type": "array", "items": "int"}).value(json.dumps(["no"] * 500))

    assert value == [None] * 500
    assert len(discards) == MAX_DISCARDS
    assert discards[-1].reason == "401 more values of this event do not fit"


json_numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@given(text=json_numbers, quoted=st.booleans())
@example(text="10000000000010000E2", quoted=False)
def test_number_when_it_is_any(text: str, quoted: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Each numeric type holds exactly the number that was written, or null with a discard."""
    sent, wanted = f'"{text}"' if quoted else text, Decimal(text)
    for of in ("long", "double", DECIMAL, "string", TIMESTAMP):
        value, discards = Typed(of).value(sent)

        assert (value is None) == bool(discards)
        if of == "string":
            assert value == (str(int(text)) if text.lstrip("-").isdigit() and not quoted else text)
        elif value is not None and isinstance(of, str | dict) and of != TIMESTAMP:
            assert value == wanted if of != "double" else written_so(value, wanted)


def written_so(number: float, wanted: Decimal) -> bool:
    """Whether a double is written so: by programs, as short as can be, or to as many digits as were written."""
    if Decimal(repr(number)) == wanted:
        return True
    digits = len(wanted.as_tuple().digits)
    return format(Decimal(number), f".{digits - 1}e") == format(wanted, f".{digits - 1}e") or number == wanted


@given(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
@example(0, 2.0**-24)
@example(0, 2.0**803)
def test_number_when_it_is_written_by_a_program(number: int, other: float) -> None:
    """Every long and every double that a program prints comes back as it was."""
    assert Typed("long").value(str(number)) == (number, [])
    assert Typed("long").value(f'"{number}"') == (number, [])
    for text in (repr(other), f"{other:.17g}", f'"{other!r}"'):
        if text.lstrip("-").isdigit() and abs(other) > 2**53:
            continue
        assert Typed("double").value(text) == (other, [])


@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2299, 12, 30)),  # noqa: DTZ001 - the zone is drawn apart
    st.integers(-14 * 60, 14 * 60),
)
def test_time_when_it_is_any(time: datetime, ahead_minutes: int) -> None:
    """A time comes back to the microsecond, whatever its zone, and as a number of microseconds."""
    sign, ahead = "-" if ahead_minutes < 0 else "+", abs(ahead_minutes)
    text = f"{time.isoformat()}{sign}{ahead // 60:02}:{ahead % 60:02}"
    wanted = time.replace(tzinfo=UTC) - timedelta(minutes=ahead_minutes)
    micros = (wanted - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    assert Typed(TIMESTAMP).value(json.dumps(text)) == (wanted, [])
    if abs(micros) >= 10**14:
        assert Typed(TIMESTAMP).value(str(micros)) == (wanted, [])


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("zip"), inner, max_size=3)
    ),
    max_leaves=8,
)
EVERY = [
    "boolean", "long", "double", "string", "bytes", ENUM, UUID_TYPE, DATE, TIMESTAMP, DECIMAL, PLACE,
    {"type": "array", "items": "double"}, {"type": "map", "values": {"type": "array", "items": "string"}},
]  # fmt: skip


@given(value=json_values, of=st.sampled_from(EVERY))
def test_value_when_it_is_any(value: object, of: object) -> None:
    """Whatever is sent, Avro's own reader reads what was written, and null stands only where something is told."""
    stored, discards = Typed(["null", of]).value(json.dumps(value))

    if stored is None:
        assert value is None or [each.field for each in discards] == ["x"]
