"""Copies for teams with a topic of their own: which records, and that they are what the raw topic holds."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from schemas.topics import MAX_RECORD_BYTES
from stream.records import Record, size_bytes
from stream.settings import StreamSettings
from stream.team_topics import copies
from tests.unit.test_normalize import HEADERS, Raw, with_header

TOPIC_OF = {b"demo": "events.raw.demo", b"acme": "events.raw.acme"}


def copy(record: Raw) -> Record:
    """The one copy of a record of the team demo."""
    ((copied,),) = copies([record], TOPIC_OF).values()
    return copied


def test_copies_when_a_run_holds_several_teams() -> None:
    """Each topic gets its team's records in their order; nobody gets those of other teams, or of none."""
    teams = [b"demo", b"acme", b"globex", b"demo", None, b"", b"\xff", b"Demo", b"acme", b"demo"]
    records = [replace(with_header("team", team), offset=offset) for offset, team in enumerate(teams)]
    records.append(Raw(headers=(), offset=len(teams)))

    copied = copies(records, TOPIC_OF)

    offsets = {topic: [dict(record.headers)["raw_offset"] for record in found] for topic, found in copied.items()}
    assert offsets == {"events.raw.demo": [b"0", b"3", b"9"], "events.raw.acme": [b"1", b"8"]}
    assert copies(records, {}) == {}


def test_copy_when_made() -> None:
    """Key, value and headers are the raw record's own bytes, also of what is no event; its offset is ours to say."""
    record = Raw(value=b"\xff\x00", headers=(*HEADERS.items(), ("raw_offset", b"forged"), ("x", None)))

    assert copy(record) == (b"demo/u1", b"\xff\x00", [*HEADERS.items(), ("x", None), ("raw_offset", b"41")])


@pytest.mark.parametrize(
    ("record", "headers"),
    [
        (Raw(value=b"v" * MAX_RECORD_BYTES), {**HEADERS, "raw_offset": b"41"}),
        (Raw(key=b"k" * MAX_RECORD_BYTES), {"team": b"demo", "raw_offset": b"41"}),
        (Raw(headers=(("team", b"demo"), ("h", b"h" * MAX_RECORD_BYTES))), {"team": b"demo", "raw_offset": b"41"}),
    ],
    ids=["value", "key", "headers"],
)
def test_copy_when_the_record_is_huge(record: Raw, headers: dict[str, bytes]) -> None:
    """What Kafka may not take again is left out, the value first; whose it is and its offset are always told."""
    copied = copy(record)

    assert copied.value is None
    assert dict(copied.headers) == headers
    assert size_bytes(copied) <= MAX_RECORD_BYTES


def test_setting_when_it_names_teams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slugs with commas, each once; the topics are outputs behind the prefix.  By default there are none."""
    assert StreamSettings().team_topics == {}

    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", "dev.")
    monkeypatch.setenv("STREAM_TEAM_TOPICS", "demo, acme,demo,")
    settings = StreamSettings()

    assert settings.team_topics == {b"demo": "dev.events.raw.demo", b"acme": "dev.events.raw.acme"}
    assert settings.outputs[2:] == ["dev.events.raw.demo", "dev.events.raw.acme"]


@pytest.mark.parametrize("slugs", ["*", "Acme", "acme;globex", "acme,.."])
def test_setting_when_it_names_what_is_no_team(monkeypatch: pytest.MonkeyPatch, slugs: str) -> None:
    """No topic of such a name is ever asked for."""
    monkeypatch.setenv("STREAM_TEAM_TOPICS", slugs)

    with pytest.raises(ValidationError, match="no slug of a team: "):
        StreamSettings()
