"""Holds the ledger against what the pipeline shows after it has drained.  Pure; every rule names its violations.

The rules are those of docs/guarantees.md.  An offset is a raw partition and a raw offset.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.faults.counters import Counted
from tests.faults.ledger import Ledger, Outcome

Offset = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record of the raw topic.

    Attributes:
        replayed: whether it was a dead letter before.
    """

    offset: Offset
    event_id: str
    key: str
    sha256: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Normalized:
    """A record of the normalized topic, in the order of its partition."""

    raw: Offset
    event_id: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the dead-letter topic."""

    raw: Offset
    reason: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row: of the physical table, or of a team's view."""

    raw: Offset
    event_id: str
    team: str


@dataclass(frozen=True, slots=True)
class Typed:
    """The physical rows of the events of one schema, in each table; something of every such event does not fit.

    Attributes:
        general: in the table of all events.
    """

    general: Sequence[Row]
    typed: Sequence[Row]
    discards: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Observed:
    """All that lies in Kafka and ClickHouse after the run.

    Attributes:
        rows: of the physical table, as stored.
        typed: what the events of each schema became, by its subject.
        views: of each team's view.
        lag: what each consumer group has left, by group.
        counted: what the last run was counted as.
    """

    raw: Sequence[RawRecord]
    normalized: Sequence[Normalized]
    dead_letters: Sequence[DeadLetter]
    rows: Sequence[Row]
    typed: dict[str, "Typed"]
    views: dict[str, Sequence[Row]]
    lag: dict[str, int]
    counted: Counted


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and where."""

    rule: str
    where: str


Rule = Callable[[Ledger, Observed], Iterator[str]]


def check(ledger: Ledger, observed: Observed, *, ingress_repeats: bool = False) -> list[Violation]:
    """Every violation of every rule; an empty list is the proof.

    `ingress_repeats`: an ingress was killed with records in its spill, and some of those may be in the raw topic twice.
    """
    rules = RULES if not ingress_repeats else {name: rule for name, rule in RULES.items() if name != ONCE_PER_ATTEMPT}
    return [Violation(name, where) for name, rule in rules.items() for where in rule(ledger, observed)]


def _acknowledged_is_in_raw(ledger: Ledger, observed: Observed) -> Iterator[str]:
    present = {record.event_id for record in observed.raw}
    yield from (f"event {event_id}" for event_id in sorted(ledger.acknowledged() - present))


def _raw_was_sent(ledger: Ledger, observed: Observed) -> Iterator[str]:
    for record in observed.raw:
        if not ledger.outcomes(record.event_id) - {Outcome.REFUSED}:
            yield f"{_at(record.offset)} event {record.event_id}"


def _raw_is_what_was_sent(ledger: Ledger, observed: Observed) -> Iterator[str]:
    for record in observed.raw:
        sent = {attempt.sha256 for attempt in ledger.attempts.get(record.event_id, ())}
        if sent and record.sha256 not in sent:
            yield f"{_at(record.offset)} event {record.event_id}"


def _raw_once_per_attempt(ledger: Ledger, observed: Observed) -> Iterator[str]:
    for event_id, times in Counter(record.event_id for record in observed.raw if not record.replayed).items():
        if times > (attempts := len(ledger.attempts.get(event_id, ()))):
            yield f"event {event_id}: {times} records of {attempts} attempts"


def _replayed_was_refused(_: Ledger, observed: Observed) -> Iterator[str]:
    refused = {letter.raw for letter in observed.dead_letters}
    ids = {record.event_id for record in observed.raw if record.offset in refused}
    for record in observed.raw:
        if record.replayed and record.event_id not in ids:
            yield f"{_at(record.offset)} event {record.event_id}"


def _raw_went_one_way(_: Ledger, observed: Observed) -> Iterator[str]:
    normalized = {record.raw for record in observed.normalized}
    refused = {letter.raw for letter in observed.dead_letters}
    for record in observed.raw:
        ways = (record.offset in normalized) + (record.offset in refused)
        if ways != 1:
            yield f"{_at(record.offset)} event {record.event_id}: {'both ways' if ways else 'neither way'}"


def _nothing_but_raw_was_normalized(_: Ledger, observed: Observed) -> Iterator[str]:
    raw = {record.offset: record.event_id for record in observed.raw}
    for record in observed.normalized:
        if raw.get(record.raw) != record.event_id:
            yield f"{_at(record.raw)} event {record.event_id}"


def _first_occurrences_in_order(_: Ledger, observed: Observed) -> Iterator[str]:
    highest: dict[int, int] = defaultdict(lambda: -1)
    seen: set[Offset] = set()
    for record in observed.normalized:
        partition, offset = record.raw
        if record.raw not in seen and offset < highest[partition]:
            yield f"{_at(record.raw)} first comes after offset {highest[partition]}"
        seen.add(record.raw)
        highest[partition] = max(highest[partition], offset)


def _poison_is_a_dead_letter(ledger: Ledger, observed: Observed) -> Iterator[str]:
    refused = {letter.raw for letter in observed.dead_letters}
    for record in observed.raw:
        attempts = ledger.attempts.get(record.event_id, ())
        poison = any(attempt.poison for attempt in attempts)
        if poison != (record.offset in refused) and not any(attempt.changing for attempt in attempts):
            yield f"{_at(record.offset)} event {record.event_id}: {'normalized' if poison else 'refused'}"


def _dead_letter_is_whole(_: Ledger, observed: Observed) -> Iterator[str]:
    raw = {record.offset: record.sha256 for record in observed.raw}
    for letter in observed.dead_letters:
        if not letter.reason or raw.get(letter.raw) != letter.sha256:
            yield f"{_at(letter.raw)} reason {letter.reason!r}"


def _normalized_is_stored(_: Ledger, observed: Observed) -> Iterator[str]:
    stored = {row.raw for row in observed.rows}
    ids = {row.event_id for row in observed.rows}
    # ClickHouse merges rows of one event id: a sender's retry may have taken the place of what it repeats.
    for offset, event_id in {record.raw: record.event_id for record in observed.normalized}.items():
        if offset not in stored and event_id not in ids:
            yield f"{_at(offset)} event {event_id}"


def _stored_once(_: Ledger, observed: Observed) -> Iterator[str]:
    yield from (f"{_at(offset)}: {n} rows" for offset, n in Counter(row.raw for row in observed.rows).items() if n > 1)


def _stored_was_normalized(_: Ledger, observed: Observed) -> Iterator[str]:
    normalized = {(record.raw, record.event_id) for record in observed.normalized}
    yield from (f"{_at(r.raw)} event {r.event_id}" for r in observed.rows if (r.raw, r.event_id) not in normalized)


def _typed_is_general(_: Ledger, observed: Observed) -> Iterator[str]:
    for subject, each in observed.typed.items():
        general = Counter((row.raw, row.event_id) for row in each.general)
        for name, rows in (("typed table", each.typed), ("discards", each.discards)):
            stored = Counter((row.raw, row.event_id) for row in rows)
            for raw, event_id in general.keys() | stored.keys():
                rows_of, times = general[raw, event_id], stored[raw, event_id]
                if rows_of != times:
                    yield f"{_at(raw)} event {event_id}: {rows_of} rows, {times} in the {name} of {subject}"


def _shown_once(ledger: Ledger, observed: Observed) -> Iterator[str]:
    for team, rows in observed.views.items():
        shown = Counter(row.event_id for row in rows)
        due = {event_id for event_id in ledger.acknowledged() if _is_row_of(ledger, event_id, team)}
        yield from (f"{team}: event {event_id} is not shown" for event_id in sorted(due - set(shown)))
        yield from (f"{team}: event {event_id} is shown {n} times" for event_id, n in shown.items() if n > 1)


def _shown_to_its_team(ledger: Ledger, observed: Observed) -> Iterator[str]:
    for team, rows in observed.views.items():
        for row in rows:
            if not _is_row_of(ledger, row.event_id, team):
                yield f"{team} sees event {row.event_id}"


def _order_per_key(ledger: Ledger, observed: Observed) -> Iterator[str]:
    highest: dict[tuple[str, int], int] = {}
    seen: set[str] = set()
    for record in observed.raw:
        attempts = ledger.attempts.get(record.event_id)
        if not attempts or record.event_id in seen or attempts[0].poison:
            continue
        seen.add(record.event_id)
        lane, number = (record.key, record.offset[0]), attempts[0].number
        if number < highest.get(lane, -1):
            yield f"{_at(record.offset)} key {record.key}: number {number} after {highest[lane]}"
        highest[lane] = max(number, highest.get(lane, -1))


def _drained(_: Ledger, observed: Observed) -> Iterator[str]:
    yield from (f"group {group}: {lag} records" for group, lag in observed.lag.items() if lag)


def _counters_add_up(_: Ledger, observed: Observed) -> Iterator[str]:
    yield from observed.counted.wrong()


ONCE_PER_ATTEMPT = "an attempt makes at most one raw record"
RULES: dict[str, Rule] = {
    "an acknowledged event is in the raw topic": _acknowledged_is_in_raw,
    "nothing refused or never sent is in the raw topic": _raw_was_sent,
    "raw bytes are the posted bytes": _raw_is_what_was_sent,
    ONCE_PER_ATTEMPT: _raw_once_per_attempt,
    "a replayed record was a dead letter": _replayed_was_refused,
    "a raw record is normalized or a dead letter": _raw_went_one_way,
    "a normalized record has its raw record": _nothing_but_raw_was_normalized,
    "a normalized partition is its raw one in order": _first_occurrences_in_order,
    "poison, and what a changing schema refuses, is a dead letter": _poison_is_a_dead_letter,
    "a dead letter has its reason and its bytes": _dead_letter_is_whole,
    "a normalized record is stored": _normalized_is_stored,
    "a raw offset is stored once": _stored_once,
    "a row has its normalized record": _stored_was_normalized,
    "typed tables and discards agree with the events": _typed_is_general,
    "a team sees each of its events once": _shown_once,
    "a team sees no other team's events": _shown_to_its_team,
    "order per key is kept": _order_per_key,
    "the lag returns to zero": _drained,
    "counters add up": _counters_add_up,
}


def _is_row_of(ledger: Ledger, event_id: str, team: str) -> bool:
    return any(attempt.team == team and not attempt.poison for attempt in ledger.attempts.get(event_id, ()))


def _at(offset: Offset) -> str:
    return f"partition {offset[0]} offset {offset[1]}"
