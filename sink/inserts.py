"""Which inserts store a batch, and in which order.  Pure.

First the typed tables, then the discards, then `warehouse.events`: a row there is the proof that all else of its record
is stored, so whoever finds it need not look further.  docs/adr/0006 tells more.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from schemas.codec import (
    DISCARDS_CONTAINER,
    ENVELOPE_CONTAINER,
    SCHEMA_HEADER_BYTES,
    Container,
    typed_container,
)
from schemas.ddl import typed_table
from schemas.registered import Registered
from sink.batch import Batch
from sink.rows import UNTYPED, Row

EVENTS = "events"
DISCARDS = "discards"
TYPED = "typed"


class Target(NamedTuple):
    """Where rows go.

    Attributes:
        name: of the insert, for its deduplication token: no two targets share one.
        kind: EVENTS, DISCARDS or TYPED, as metrics tell them apart.
        table: as SQL names it.
        cut: takes from rows the parts that become rows of this table.
    """

    name: str
    kind: str
    table: str
    container: Container
    cut: Callable[[Sequence[Row]], list[bytes]]


@dataclass(frozen=True, slots=True)
class Insert:
    """What one statement inserts: those rows of a batch that have a part for this table."""

    target: Target
    batch: Batch

    def bodies(self) -> list[bytes]:
        """What the rows hold for it, in Avro."""
        return self.target.cut(self.batch.rows)


class Targets:
    """The tables of one warehouse."""

    def __init__(self, database: str, registered: Registered) -> None:
        self.events = Target(EVENTS, EVENTS, f"{database}.events", ENVELOPE_CONTAINER, _envelopes)
        self._discards = Target(DISCARDS, DISCARDS, f"{database}.discards", DISCARDS_CONTAINER, _with_discards)
        self._typed: dict[int, Target] = {}
        self._database = database
        self._registered = registered

    def inserts(self, batch: Batch) -> list[Insert]:
        """The inserts of a batch in their order; all of its rows go into the last one."""
        if not batch.writer_ids:
            return [Insert(self.events, batch)]
        by_writer: defaultdict[int, list[Row]] = defaultdict(list)
        discarding = []
        for row in batch.rows:
            if row.parts is not None:
                if row.parts.writer_id != UNTYPED:
                    by_writer[row.parts.writer_id].append(row)
                if row.parts.discards:
                    discarding.append(row)
        inserts = [Insert(self._of(writer_id), replace(batch, rows=rows)) for writer_id, rows in by_writer.items()]
        if discarding:
            inserts.append(Insert(self._discards, replace(batch, rows=discarding)))
        return [*inserts, Insert(self.events, batch)]

    def _of(self, writer_id: int) -> Target:
        if (known := self._typed.get(writer_id)) is not None:
            return known
        version = self._registered.written_by(writer_id)
        assert version is not None, "read_record refuses others"  # noqa: S101 - the order of calls, not an input
        table = typed_table(self._database, version)
        container = typed_container(version.writer_schema, {each.field: each.name for each in version.columns})
        # Two versions may fill one table, each by a statement of its own.
        self._typed[writer_id] = target = Target(f"{table}/{writer_id}", TYPED, table, container, _wholes)
        return target


def _envelopes(rows: Sequence[Row]) -> list[bytes]:
    head = SCHEMA_HEADER_BYTES
    return [row.value[head:] if row.parts is None else row.value[head : row.parts.envelope_end] for row in rows]


def _with_discards(rows: Sequence[Row]) -> list[bytes]:
    return [row.value[SCHEMA_HEADER_BYTES : row.parts.typed_start] for row in rows if row.parts is not None]


def _wholes(rows: Sequence[Row]) -> list[bytes]:
    return [row.value[SCHEMA_HEADER_BYTES:] for row in rows]
