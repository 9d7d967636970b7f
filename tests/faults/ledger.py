"""The ledger: what was attempted, and what its sender was told.

Every attempt ends in one of Jepsen's three outcomes; an event may be attempted several times under the same id.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What the sender knows."""

    OK = "ok"
    """It was answered with 200: the event must be there."""
    REFUSED = "refused"
    """It was answered with 4xx: the event must not be there."""
    UNKNOWN = "unknown"
    """503, a time-out or a broken connection: both are right."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending of one event.

    Attributes:
        number: position in its sender's sequence for this key; a later one is sent only after the earlier was settled.
        sha256: of the bytes that were posted.
        poison: written to the raw topic by somebody else, so that it must become a dead letter.
        changing: its event's schema changes in mid-stream, so that it may become a dead letter, which is replayed.
    """

    event_id: str
    team: str
    key: str
    number: int
    sha256: str
    outcome: Outcome
    poison: bool = False
    changing: bool = False


@dataclass(slots=True)
class Ledger:
    """All attempts of one run, by event id."""

    attempts: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))

    def note(self, attempt: Attempt) -> None:
        """Add one attempt."""
        self.attempts[attempt.event_id].append(attempt)

    def outcomes(self, event_id: str) -> set[Outcome]:
        """Every outcome that this event's attempts had; empty where it was never sent."""
        return {attempt.outcome for attempt in self.attempts.get(event_id, ())}

    def acknowledged(self) -> set[str]:
        """The events that must be there."""
        return {event_id for event_id in self.attempts if Outcome.OK in self.outcomes(event_id)}

    def count(self, outcome: Outcome) -> int:
        """How many attempts ended so."""
        return sum(attempt.outcome is outcome for several in self.attempts.values() for attempt in several)
