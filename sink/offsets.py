"""What the sink writes beside its Kafka offset: which range is being inserted, and how far rows may reach.

Before an insert the offset stays at the range's start and the note names its end; after it the offset is the end and
the note names none.  The note travels in the metadata of the offset commit, so it is fenced by the group's generation.
"""

import json
from dataclasses import dataclass

from sink.batch import NOTHING


@dataclass(frozen=True, slots=True)
class Note:
    """What stands beside an offset.

    Attributes:
        open_end: end of the range that is being inserted from the committed offset on; None where none is.
        highest_raw: the highest raw offset that had been inserted at the committed offset.
    """

    open_end: int | None = None
    highest_raw: int = NOTHING

    def encode(self) -> str:
        """As text; far below the broker's limit of 4,096 bytes."""
        members = {"highest_raw": self.highest_raw} | ({} if self.open_end is None else {"end": self.open_end})
        return json.dumps(members)


def decode_note(text: str) -> Note:
    """The opposite; what somebody else committed, such as a tool that resets offsets, says nothing."""
    try:
        members = json.loads(text)
        end = members.get("end")
        return Note(None if end is None else int(end), int(members.get("highest_raw", NOTHING)))
    except (ValueError, TypeError, AttributeError):
        return Note()
