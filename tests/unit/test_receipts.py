"""The receipt from what was found, where to look, and how often: without Kafka and ClickHouse."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ingress.allowance import Allowance
from ingress.receipts.evidence import CLOCKS_MILLISECONDS, Evidence, Record, Row, Span, Trace, Wanted
from ingress.receipts.receipt import MAX_SENDINGS, Receipt, State, raw_places, write_receipt
from schemas.topics import Topics

TOPICS = Topics()
NOTHING = Trace()
PARTITION = 2
WANTED = Wanted("demo", UUID("01936f0e-8a1c-7c3e-9b5f-2d1e4a6b8c0d"))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def record(topic: str, offset: int, **headers: str) -> Record:
    """A record of the event, or of another one where the headers say so."""
    known = {"event_id": str(WANTED.event_id), "team": WANTED.team, **headers}
    return Record(topic, PARTITION, offset, 1_000, {name: value.encode() for name, value in known.items()})


def raw(offset: int, **headers: str) -> Record:
    """A raw record of the event."""
    known = {"token_id": "tok_a", "received_at": f"2026-11-24T12:00:{offset:02}.000001+00:00"}
    return record(TOPICS.raw, offset, **(known | headers))


def row(offset: int) -> Row:
    """A row of the event, inserted a second after it was received."""
    received_at = NOON + timedelta(seconds=offset, microseconds=1)
    return Row(PARTITION, offset, received_at, received_at + timedelta(seconds=1))


NORMALIZED = record(TOPICS.normalized, 7, raw_offset="9")
LETTER = record(TOPICS.dead_letter, 1, raw_offset="9", raw_partition="2", reason="invalid_json", field="", detail="why")


def receipt(rows: tuple[Row, ...] = (), trace: Trace = NOTHING, *known: Record, gap: str | None = None) -> Receipt:
    """The receipt of what was found, with these raw records still there."""
    places = {(record.partition, record.offset): record for record in known}
    written = write_receipt(Evidence(WANTED, rows, trace, places), TOPICS, gap)
    assert written is not None
    return written


@pytest.mark.parametrize(
    ("rows", "trace", "state"),
    [
        ((), Trace(raw=[raw(9)]), State.ACCEPTED),
        ((), Trace(dead_letters=[LETTER]), State.DEAD_LETTER),
        ((), Trace(raw=[raw(9)], normalized=[NORMALIZED]), State.NORMALIZED),
        ((), Trace(dead_letters=[LETTER], normalized=[NORMALIZED]), State.NORMALIZED),
        ((), Trace(raw=[raw(9)], dead_letters=[LETTER]), State.DEAD_LETTER),
        ((row(9),), Trace(dead_letters=[LETTER]), State.STORED),
    ],
)
def test_state_when_found_in_several_places(rows: tuple[Row, ...], trace: Trace, state: State) -> None:
    """The state is how far the event came at most."""
    assert receipt(rows, trace).state is state


def test_receipt_when_found_nowhere() -> None:
    """There is none, unless something was not looked through: then it says so and claims nothing."""
    assert write_receipt(Evidence(WANTED, (), Trace()), TOPICS, None) is None

    unknown = receipt(gap="too much")

    assert (unknown.state, unknown.complete, unknown.gap) == (State.UNKNOWN, False, "too much")
    assert [unknown.accepted, unknown.normalized, unknown.dead_letter, unknown.stored] == [None] * 4


def test_receipt_when_stored() -> None:
    """It names the team's own view, the time of the insert, and the token of the raw record."""
    found = receipt((row(9),), Trace(), raw(9))

    assert found.stored
    assert (found.stored.table, found.stored.inserted_at) == ("demo.events", row(9).inserted_at)
    assert found.accepted
    assert (found.accepted.token_id, found.accepted.received_at) == ("tok_a", row(9).received_at)
    assert (found.accepted.topic, found.accepted.partition, found.accepted.offset) == (TOPICS.raw, 2, 9)
    assert found.complete


def test_receipt_when_sent_several_times() -> None:
    """All sendings are listed in order, and the row that stays is that of the first."""
    found = receipt((row(9), row(4)), Trace(), raw(9, token_id="tok_b"), raw(4))

    assert [(sending.offset, sending.token_id) for sending in found.sendings] == [(4, "tok_a"), (9, "tok_b")]
    assert found.accepted == found.sendings[0]
    assert found.stored
    assert found.stored.inserted_at == row(4).inserted_at


def test_receipt_when_raw_record_has_expired() -> None:
    """What the row knows stays, and the token is unknown."""
    found = receipt((row(9),))

    assert found.accepted
    assert (found.accepted.received_at, found.accepted.token_id) == (row(9).received_at, None)


@pytest.mark.parametrize("other", [{"team": "other"}, {"event_id": str(UUID(int=1))}])
def test_receipt_when_raw_topic_was_made_anew(other: dict[str, str]) -> None:
    """What another event left at the same offset is not told: perhaps it is another team's."""
    found = receipt((row(9),), Trace(), raw(9, token_id="tok_secret", **other))

    assert found.accepted
    assert found.accepted.token_id is None


def test_receipt_when_dead_letter() -> None:
    """It says the reason and the detail, and knows of the sending what the dead letter's headers know."""
    letter = record(
        TOPICS.dead_letter, 1, raw_offset="9", reason="wrong_type", field="event", detail="why", token_id="tok_a"
    )

    found = receipt((), Trace(dead_letters=[letter]))

    assert found.dead_letter
    assert (found.dead_letter.reason, found.dead_letter.field, found.dead_letter.detail) == (
        "wrong_type",
        "event",
        "why",
    )
    assert found.dead_letter.dead_lettered_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert found.accepted
    assert (found.accepted.token_id, found.accepted.offset, found.accepted.received_at) == ("tok_a", 9, None)


@pytest.mark.parametrize("received_at", ["", "yesterday", "2026-11-24T12:00:00", "\udcff"])
def test_receipt_when_header_keeps_no_contract(received_at: str) -> None:
    """Headers that somebody else wrote, and wrongly, are unknown and break nothing."""
    headers = {**raw(9).headers, "received_at": received_at.encode(errors="surrogateescape"), "raw_offset": b"x"}
    strange = raw(9)._replace(headers=headers)

    found = receipt((), Trace(raw=[strange], normalized=[strange], dead_letters=[strange]))

    assert found.state is State.NORMALIZED
    assert {sending.received_at for sending in found.sendings} == {None}


def test_raw_places_when_some_were_read() -> None:
    """Each place is read once at most, those that were read already not at all, and never more than are shown."""
    trace = Trace(raw=[raw(9)], normalized=[NORMALIZED], dead_letters=[record(TOPICS.dead_letter, 1, raw_offset="8")])
    rows = [row(offset) for offset in range(100, 200)]

    assert raw_places(Evidence(WANTED, (), trace)) == [(2, 8)]
    assert len(raw_places(Evidence(WANTED, rows, Trace()))) == MAX_SENDINGS
    assert len(receipt(tuple(rows)).sendings) == MAX_SENDINGS


@pytest.mark.parametrize(
    ("headers", "matches"),
    [
        ({}, True),
        ({"event_id": str(WANTED.event_id).upper()}, True),
        ({"event_id": str(UUID(int=1))}, False),
        ({"team": "other"}, False),
        ({"team": "demo2"}, False),
        ({"team": ""}, False),
    ],
)
def test_match_when_headers_differ(headers: dict[str, str], matches: bool) -> None:  # noqa: FBT001 - pytest's
    """A record is the event's only where both the id and the team are."""
    assert WANTED.matches(raw(9, **headers).headers) is matches


def test_match_when_header_is_missing() -> None:
    """A record that names no team belongs to none, and one without an id is no event's."""
    assert not WANTED.matches({"event_id": str(WANTED.event_id).encode()})
    assert not WANTED.matches({"team": b"demo"})


def test_earliest_when_id_holds_a_time() -> None:
    """A minted id tells since when there can be a record; a derived one does not."""
    minted = Wanted("demo", UUID("018bcfe5-6800-7000-8000-000000000000"))

    assert minted.earliest_ms == 1_700_000_000_000 - CLOCKS_MILLISECONDS
    assert Wanted("demo", UUID(int=0, version=5)).earliest_ms is None


@pytest.mark.parametrize(
    ("most", "hint", "window"),
    [
        (100, None, (0, 100)),
        (100, 50, (0, 100)),
        (10, None, (90, 100)),
        (10, 50, (50, 60)),
        (10, 95, (90, 100)),
        (10, 100, (90, 100)),
        (10, -5, (0, 10)),
    ],
)
def test_window_when_span_is_long(most: int, hint: int | None, window: tuple[int, int]) -> None:
    """All of a span where it is short enough, else so much from the hint on, else the newest."""
    assert Span(0, 100).window(most, hint) == window


def test_allowance_when_used_up() -> None:
    """A burst passes, then one each interval; who asks too early is told when, and somebody else is not touched."""
    allowance = Allowance(per_second=2, burst=3)

    taken = [allowance.take("a", 0.0) for _ in range(4)]

    assert taken == [0.0, 0.0, 0.0, 0.5]
    assert allowance.take("b", 0.0) == 0.0
    assert allowance.take("a", 0.5) == 0.0
    assert allowance.take("a", 0.5) == 0.5
    assert [allowance.take("a", 60.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
