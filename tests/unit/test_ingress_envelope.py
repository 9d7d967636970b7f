"""From an accepted event to its raw record."""

import json
import math
from uuid import UUID

import pytest

from ingress.envelope import Arrival, Envelope, RawRecord, Sender, arrival, sender
from ingress.sticky import Partition
from schemas.events import derive_event_id
from schemas.formats import parse_any
from schemas.topics import partition_for

SENDER = sender("acme", "tok_1", enabled=True, expires_at=math.inf)
NOON_MICROS = 1_354_449_600_000_123
NOON = arrival(NOON_MICROS, bytes(range(9)))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def wrapped(at: Arrival = NOON, by: Sender = SENDER, **members: object) -> RawRecord:
    """A raw record of a good event with these members."""
    body = json.dumps({"version": 1, "type": "event", "event": "x"} | members).encode()
    return Envelope(by, at).wrap(parse_any(body), body)


def test_record_when_wrapped() -> None:
    """The value is the body as it is, and the headers are those of the published contract."""
    body = b' {"version":1,\n"type":"event","event":"x","userId":"u1","price":39.950}'

    record = Envelope(SENDER, NOON).wrap(parse_any(body), body)

    assert record.value is body
    assert record.key == b"acme/u1"
    assert record.headers == [
        ("event_id", record.event_id.encode()),
        ("team", b"acme"),
        ("token_id", b"tok_1"),
        ("format", b"event.v1"),
        ("received_at", b"2012-12-02T12:00:00.000123+00:00"),
    ]


@pytest.mark.parametrize("user_id", [None, ""])
def test_key_when_no_user(user_id: str | None) -> None:
    """An event of nobody in particular is spread by its id."""
    record = wrapped(userId=user_id)

    assert record.key == f"acme/{record.event_id}".encode()


def test_event_id_when_sender_has_one() -> None:
    """A sender's own id gives the same event id and key whenever it comes, and others for another team."""
    first = wrapped(id="order-1")
    again = wrapped(arrival(NOON_MICROS + 9_000_000, bytes(9)), id="order-1")
    elsewhere = wrapped(by=sender("other", "tok_2", enabled=True, expires_at=math.inf), id="order-1")

    assert first.event_id == again.event_id == str(derive_event_id("acme", "order-1"))
    assert first.key == again.key
    assert elsewhere.event_id != first.event_id


@pytest.mark.parametrize(
    ("traceparent", "kept"),
    [
        (TRACEPARENT, True),
        (None, False),
        ("", False),
        (TRACEPARENT.upper(), False),
        (TRACEPARENT + "-00", False),
        ("ff" + TRACEPARENT[2:], False),
        ("00-" + "0" * 32 + TRACEPARENT[35:], False),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        (TRACEPARENT + "\n", False),
        ("\udcff", False),
    ],
)
def test_traceparent_when(traceparent: str | None, *, kept: bool) -> None:
    """A trace goes on where its header is well-formed, and is dropped where it is not."""
    headers = dict(wrapped(arrival(NOON_MICROS, bytes(9), traceparent=traceparent)).headers)

    assert headers.get("traceparent") == (TRACEPARENT.encode() if kept else None)


def minted(milliseconds: int, random: bytes) -> str:
    """The id of an event without one of its own."""
    return wrapped(arrival(milliseconds * 1000, random)).event_id


def test_event_id_when_minted() -> None:
    """It has version, variant and time where RFC 9562 has them, and the rest is the randomness."""
    event_id = UUID(minted(0x017F22E279B0, b"\xff" * 9))

    assert str(event_id) == "017f22e2-79b0-7fff-8fff-ffffffffffff"
    assert event_id.version == 7
    assert event_id.variant == "specified in RFC 4122"


def test_event_id_when_minted_later() -> None:
    """One that is made a millisecond later sorts later, whatever the randomness."""
    assert minted(1000, b"\xff" * 9) < minted(1001, bytes(9))


def test_event_ids_when_several_in_a_request() -> None:
    """Each has randomness of its own."""
    event = parse_any(b'{"version":1,"type":"event","event":"x"}')
    envelope = Envelope(SENDER, arrival(NOON_MICROS, bytes(range(180))))

    assert len({envelope.wrap(event, b"", number).event_id for number in range(20)}) == 20


@pytest.mark.parametrize("partitions", [1, 4, 7, 32])
def test_partition_when_any_will_do(partitions: int) -> None:
    """An event of nobody in particular has an id by which its key lies where it was wanted, and is a UUIDv7 still."""
    event = parse_any(b'{"version":1,"type":"event","event":"x"}')
    envelope = Envelope(SENDER, arrival(NOON_MICROS, bytes(range(180))))

    for number in range(20):
        partition = Partition(number % partitions, partitions)
        record = envelope.wrap(event, b"", number, partition)

        assert partition_for(record.key, partitions) == partition.number
        assert record.key == f"acme/{record.event_id}".encode()
        assert record.headers[0] == ("event_id", record.event_id.encode())
        assert UUID(record.event_id).version == 7
        assert record.event_id[:-2] == envelope.wrap(event, b"", number).event_id[:-2]


@pytest.mark.parametrize("members", [{"userId": "u1"}, {"id": "order-1"}])
def test_partition_when_a_user_or_an_id_says_which(members: dict[str, str]) -> None:
    """What a sender said decides alone: a user's events keep their order, an event that is sent again its place."""
    body = json.dumps({"version": 1, "type": "event", "event": "x"} | members).encode()
    event, envelope = parse_any(body), Envelope(SENDER, NOON)

    keys = {envelope.wrap(event, body, 0, Partition(number, 4)).key for number in range(4)}

    assert keys == {envelope.wrap(event, body).key}
