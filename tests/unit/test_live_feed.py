"""The feed of the Live page: what it shows of a team's records, in whatever order they are read, and its bounds."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.console.live.entries import MAX_PAYLOAD_BYTES, Entry, Fault, Seen, describe
from ingress.console.live.feed import MAX_EARLY, MAX_ENTRIES, MAX_RING_BYTES, Feed
from ingress.console.live.pulse import KEPT_SECONDS
from ingress.refusals import Refused

NOW = 1_795_000_000.0
RECEIVED_AT = datetime.fromtimestamp(NOW - 2, UTC)
MANY = 10_000
BODY = b'{"version":1,"type":"event","event":"Bought","id":"o-1","userId":"u1","properties":{"price":1.50}}'


def raw(offset: int, value: bytes = BODY, partition: int = 2) -> Seen:
    """A raw record."""
    headers = {
        "event_id": b"0192-%d" % offset,
        "team": b"demo",
        "token_id": b"tok_1",
        "format": b"event.v1",
        "received_at": RECEIVED_AT.isoformat().encode(),
    }
    return Seen(partition, offset, int(NOW * 1000) - 1_900, headers, value)


def normalized(raw_offset: int, offset: int, partition: int = 2) -> Seen:
    """The normalized record of a raw one."""
    headers = {"team": b"demo", "raw_offset": b"%d" % raw_offset}
    return Seen(partition, offset, int(NOW * 1000) - 1_000, headers, b"\0avro")


def dead(raw_offset: int, offset: int = 0, **changed: bytes) -> Seen:
    """The dead letter of a raw one."""
    of = raw(raw_offset)
    why = {"reason": b"too_deep", "field": b"properties", "detail": b"Less.", "raw_partition": b"2"}
    headers = {**of.headers, **why, "raw_offset": b"%d" % raw_offset, **changed}
    return Seen(2, offset, int(NOW * 1000) - 900, headers, of.value)


def refusal(offset: int, body: str | None = '{"event":7}') -> Seen:
    """A record of the refusals."""
    refused = Refused("wrong_type", "event", "event must be a string.", "r1", RECEIVED_AT, "/v1/event", body)
    headers = {"team": b"demo", "token_id": b"tok_1"}
    return Seen(0, offset, int(NOW * 1000), headers, msgspec.json.encode(refused))


def shown(feed: Feed) -> list[Entry]:
    """What somebody sees who comes now."""
    return [entry for entry, _ in feed.after(feed.start).entries]


def state(feed: Feed) -> list[dict[str, Any]]:
    """The stages of each entry."""
    return [msgspec.to_builtins(entry.stages) for entry in shown(feed)]


STEPS: dict[str, Callable[[Feed], None]] = {
    "raw": lambda feed: feed.accepted(raw(7), NOW),
    "normalized": lambda feed: feed.normalized(normalized(7, 5)),
    "repeat": lambda feed: feed.normalized(normalized(7, 9)),
    "other": lambda feed: feed.normalized(normalized(8, 6)),
}


@pytest.mark.parametrize("order", list(permutations(STEPS)))
def test_stages_when_topics_are_read_in_any_order(order: tuple[str, ...]) -> None:
    """An event is accepted, normalized and stored, whichever topic's answer came first; repeats change nothing."""
    feed = Feed(MANY)

    for step in order:
        STEPS[step](feed)
    feed.stored(2, 10, NOW)

    (entry,) = shown(feed)
    assert msgspec.to_builtins(entry.stages) == {
        "accepted": int(NOW - 2) * 1000,
        "normalized": int(NOW * 1000) - 1_000,
        "stored": int(NOW * 1000),
    }
    sent = entry.sent
    assert (sent.name, sent.user, sent.sender_id, sent.id) == ("Bought", "u1", "o-1", "0192-7")
    assert (sent.payload, sent.token_id, sent.partition, sent.offset) == (BODY.decode(), "tok_1", 2, 7)
    assert feed.pulses.at(NOW).freshness == 2.0


def test_not_stored_when_commit_is_before_it() -> None:
    """The record at the committed offset is the first that is not stored; another partition's says nothing."""
    feed = Feed(MANY)
    feed.accepted(raw(7), NOW)
    feed.normalized(normalized(7, 5))

    feed.stored(2, 5, NOW)
    feed.stored(1, 99, NOW)
    assert "stored" not in state(feed)[0]

    feed.stored(2, 6, NOW)
    assert "stored" in state(feed)[0]


@pytest.mark.parametrize("letter_first", [False, True])
def test_dead_letter_when_read_in_any_order(*, letter_first: bool) -> None:
    """A dead letter shows its reason, its field and its detail, with the event, and is one entry."""
    feed = Feed(MANY)
    if letter_first:
        feed.dead_letter(dead(7), NOW)
    feed.accepted(raw(7), NOW)
    if not letter_first:
        feed.dead_letter(dead(7), NOW)

    (entry,) = shown(feed)
    assert entry.fault == Fault("too_deep", "properties", "Less.")
    assert entry.stages.accepted == int(NOW - 2) * 1000
    assert entry.stages.dead_letter == int(NOW * 1000) - 900
    assert entry.sent.payload == BODY.decode()


@pytest.mark.parametrize("committed", [5, 6])
def test_dead_letter_when_sink_wrote_it(committed: int) -> None:
    """What the sink could not insert was not stored, although it commits past it; its Avro is no payload."""
    feed = Feed(MANY)
    feed.accepted(raw(7), NOW)
    feed.normalized(normalized(7, 5))
    feed.stored(2, committed, NOW)

    feed.dead_letter(dead(7, format=b"envelope.v1")._replace(value=b"\0\1avro"), NOW)
    feed.dead_letter(dead(8, format=b"envelope.v1")._replace(value=b"\0\1avro"), NOW)
    feed.stored(2, 99, NOW)

    known, alone = shown(feed)
    assert (known.stages.stored, known.sent.payload) == (None, BODY.decode())
    assert (alone.stages.stored, alone.sent.payload) == (None, None)


def test_entries_when_nobody_looked() -> None:
    """What was there before anybody looked is shown, and not counted; when it was stored nobody knows."""
    feed = Feed(1)

    for offset in range(3):
        feed.accepted(raw(offset)._replace(late=True), NOW)
        feed.normalized(normalized(offset, offset)._replace(late=True))
    feed.dead_letter(dead(3)._replace(late=True), NOW)
    feed.refused(refusal(0)._replace(late=True), NOW)
    feed.stored(2, 9, NOW)

    assert [entry.stages.stored for entry in shown(feed)[2:]] == [0, 0, 0]
    assert len(shown(feed)) == 5
    pulse = feed.pulses.at(NOW)
    assert (pulse.accepted, pulse.refused, pulse.dead_letters, pulse.shown, pulse.freshness) == (0, 0, 0, 0, None)


def test_refusal_when_seen() -> None:
    """A refused event shows what its sender was told."""
    feed = Feed(MANY)

    feed.refused(refusal(0), NOW)
    feed.refused(refusal(1, None), NOW)
    feed.refused(refusal(2)._replace(value=b"not ours"), NOW)

    first, second = shown(feed)
    assert first.fault == Fault("wrong_type", "event", "event must be a string.")
    assert (first.sent.payload, first.sent.path, first.sent.request_id) == ('{"event":7}', "/v1/event", "r1")
    assert (second.sent.payload, second.sent.name) == (None, "")
    assert feed.pulses.at(NOW).refused == 3


def test_sample_when_much_passes() -> None:
    """So many a second are shown, all are counted, and faults have a share of their own."""
    feed = Feed(50)

    for offset in range(3_000):
        feed.accepted(raw(offset), NOW)
        feed.normalized(normalized(offset, offset))
    feed.refused(refusal(0), NOW)
    feed.dead_letter(dead(2_999), NOW)
    feed.stored(2, 3_000, NOW)

    pulse = feed.pulses.at(NOW)
    assert (pulse.accepted, pulse.refused, pulse.dead_letters, pulse.shown) == (3_000, 1, 1, 52)
    assert [entry.sent.offset for entry in shown(feed) if not entry.fault] == list(range(50))
    assert [entry.fault.reason for entry in shown(feed) if entry.fault] == ["wrong_type", "too_deep"]
    feed.accepted(raw(3_000), NOW + 1)
    assert len(shown(feed)) == 53


def test_changes_when_viewer_has_seen_some() -> None:
    """A viewer gets what is new whole, of what has changed the stages, and nothing twice."""
    feed = Feed(MANY)
    feed.accepted(raw(1), NOW)
    seen = feed.after(feed.start)
    feed.normalized(normalized(1, 1))
    feed.accepted(raw(2), NOW)

    changes = feed.after(seen.mark)

    assert [(entry.sent.offset, is_new) for entry, is_new in changes.entries] == [(1, False), (2, True)]
    assert feed.after(changes.mark).entries == []


def test_skipped_when_viewer_is_slow() -> None:
    """Who comes back late is told how many passed unseen; who comes first has missed none."""
    feed = Feed(MANY)
    feed.accepted(raw(0), NOW)
    mark = feed.after(feed.start).mark
    for offset in range(1, MAX_ENTRIES + 21):
        feed.accepted(raw(offset), NOW)

    changes = feed.after(mark)

    assert (changes.skipped, len(changes.entries)) == (20, MAX_ENTRIES)
    assert feed.after(feed.start).skipped == 0
    assert feed.after(changes.mark).skipped == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["raw", "normalized", "dead", "refused", "stored"]), st.integers(0, 40)), max_size=80
    ),
    st.lists(st.integers(0, 80), max_size=4),
)
def test_viewer_when_anything_passes(steps: list[tuple[str, int]], looks: list[int]) -> None:
    """Whenever a viewer looks, what it has put together from changes is what the ring holds."""
    feed = Feed(MANY)
    mark, held = feed.start, dict[str, tuple[Any, Any]]()
    for number, (step, offset) in enumerate(steps):
        {
            "raw": lambda at: feed.accepted(raw(at), NOW),
            "normalized": lambda at: feed.normalized(normalized(at, at)),
            "dead": lambda at: feed.dead_letter(dead(at), NOW),
            "refused": lambda at: feed.refused(refusal(at), NOW),
            "stored": lambda at: feed.stored(2, at, NOW),
        }[step](offset)
        if number in looks or number == len(steps) - 1:
            changes = feed.after(mark)
            mark = changes.mark
            for entry, is_new in changes.entries:
                assert is_new or entry.key in held
                sent = entry.sent if is_new else held[entry.key][0]
                held[entry.key] = (sent, (msgspec.structs.replace(entry.stages), entry.fault))
    assert held == {entry.key: (entry.sent, (entry.stages, entry.fault)) for entry in shown(feed)}


def test_memory_when_events_are_large_and_many() -> None:
    """Ring, waiting records and seconds have a bound each."""
    feed = Feed(MANY)
    large = b'{"event":"x","properties":"' + b"x" * MAX_PAYLOAD_BYTES + b'"}'

    for offset in range(3 * MAX_ENTRIES):
        feed.accepted(raw(offset, large), NOW + offset)
        feed.normalized(normalized(offset, offset))
    for offset in range(MANY, MANY + 3 * MAX_EARLY):
        feed.normalized(normalized(offset, offset))

    assert feed.held_bytes <= MAX_RING_BYTES
    assert sum(entry.payload_bytes for entry in shown(feed)) == feed.held_bytes
    assert len(feed._early) == MAX_EARLY
    assert sum(map(len, feed._unstored.values())) == len(shown(feed))
    assert len(feed.pulses.between(0, 1 << 40)) == KEPT_SECONDS


@pytest.mark.parametrize(
    ("value", "name", "user", "is_text"),
    [
        (b'{"event":"a","userId":12345678901234567890}', "a", "12345678901234567890", True),
        (b'{"name":"Home","type":"page","anonymousId":"an"}', "Home", "an", True),
        (b'{"event":["a"],"userId":true}', "", "", True),
        (b'{"event":7,"name":8}', "", "", True),
        (b'{"event":"cut', "", "", True),
        (b"\xff\xfe", "", "", False),
        (b"[" * 100_000, "", "", True),
        (b"", "", "", True),
        (b'{"event":"' + b"n" * 5000 + b'"}', "n" * 200, "", True),
    ],
)
def test_description_when_payload_is_anything(value: bytes, name: str, user: str, *, is_text: bool) -> None:
    """Whatever was posted is described, and never re-written."""
    sent = describe(value)

    assert (sent.name, sent.user, sent.text) == (name, user, is_text)
    assert sent.payload == value[:MAX_PAYLOAD_BYTES].decode(errors="replace")
    assert sent.cut == (len(value) > MAX_PAYLOAD_BYTES)
