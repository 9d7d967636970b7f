"""What stands beside a committed offset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sink.offsets import Note, decode_note

OFFSETS = st.integers(0, 2**63 - 1)


@given(OFFSETS | st.none(), OFFSETS | st.just(-1))
def test_note_when_read_back(open_end: int | None, highest_raw: int) -> None:
    """A note comes back as it was, and is far below the broker's limit for metadata."""
    note = Note(open_end, highest_raw)

    assert decode_note(note.encode()) == note
    assert len(note.encode()) < 100


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"end": "x"}', '{"end": [1]}', "kafka-consumer-groups"])
def test_note_when_somebody_else_wrote_it(text: str) -> None:
    """Metadata of other tools says nothing: no open range, and any row may be there already."""
    assert decode_note(text) == Note()
