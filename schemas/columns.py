"""The ClickHouse column of each typed field: the widest of its kind, null where a value is absent or did not fit.

ClickHouse has no null for arrays, maps and tuples: where Avro has it, they are empty.
"""

from schemas.field_types import Field, Kind, Type
from schemas.names import ColumnNames, column_names

_TYPES = {
    Kind.BOOLEAN: "Nullable(Bool)",
    Kind.LONG: "Nullable(Int64)",
    Kind.DOUBLE: "Nullable(Float64)",
    Kind.STRING: "Nullable(String)",
    Kind.BYTES: "Nullable(String)",
    Kind.ENUM: "LowCardinality(Nullable(String))",
    Kind.UUID: "Nullable(UUID)",
    Kind.DATE: "Nullable(Date32)",
    Kind.TIMESTAMP: "Nullable(DateTime64(6, 'UTC'))",
}


def column_type(of: Type) -> str:
    """The type of a column that holds what the stream writes for a field of this type."""
    if of.kind is Kind.DECIMAL:
        return f"Nullable(Decimal(38, {of.scale}))"
    if of.kind is Kind.RECORD:
        # Avro's names are plain identifiers; quoted, none of them is a word of SQL.
        return f"Tuple({', '.join(f'`{field.name}` {column_type(field.type)}' for field in of.fields)})"
    if of.item is not None:
        item = column_type(of.item)
        return f"Array({item})" if of.kind is Kind.ARRAY else f"Map(String, {item})"
    return _TYPES[of.kind]


def columns_of(fields: tuple[Field, ...]) -> tuple[dict[str, str], ColumnNames]:
    """Columns with their types, in the order of the fields, and how they come to their names."""
    names = column_names([field.name for field in fields])
    return {names.columns[field.name]: column_type(field.type) for field in fields}, names
