"""What processes counted in a run, held against what was sent and what lies in Kafka.  Pure.

Counters die with their process, so nothing is claimed of one that ended in the run, nor where a second copy shared its
work.  Of the others:

- ingress: each attempt that was answered with 200 is counted, and at most those whose answer got lost besides;
- stream: each record that it sent is counted, also where it sent one again after a rebalance;
- sink: each record is counted once, when its offset is committed: as a row, as a repeat (the table had it, perhaps by
  an earlier attempt) or as a dead letter.  Where it loses a partition between Kafka's commit of a range and the
  answer to that, the range is not counted, and nobody redoes it: with a rebalance in the run the sum may be less,
  never more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

PROCESSES = ("ingress", "stream", "sink")


@dataclass(frozen=True, slots=True)
class Life:
    """A process at one moment.

    Attributes:
        identity: another one for its successors, and where a second copy was started meanwhile.
        assignments: how often the group has given it partitions.
        counters: by name, over all labels.
    """

    identity: object
    assignments: int
    counters: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted at a moment at which nothing is under way.

    Attributes:
        acknowledged: attempts of our senders that were answered with 200.
        unknown: attempts whose outcome their sender was not told.
        normalized: records of the normalized topic.
        dead_letters: records of the dead-letter topic.
        lives: the processes that answer.
    """

    acknowledged: int
    unknown: int
    normalized: int
    dead_letters: int
    lives: Mapping[str, Life]


class Claim(NamedTuple):
    """What must lie between two bounds."""

    what: str
    counted: int
    least: int
    most: int

    def __str__(self) -> str:
        """Read where it does not hold."""
        return f"{self.what}: {self.counted:,} counted, {self.least:,} to {self.most:,} are there"


@dataclass(frozen=True, slots=True)
class Counted:
    """One run.

    Attributes:
        undisturbed: nothing was done to any process, so all of them must have lived through it in peace.
    """

    before: Counts
    after: Counts
    undisturbed: bool = False

    def wrong(self) -> Iterator[str]:
        """Everything that does not add up."""
        if self.undisturbed:
            yield from (
                f"{name} was disturbed although there was no fault" for name in PROCESSES if not self._calm(name)
            )
        yield from (str(claim) for claim in self._claims() if not claim.least <= claim.counted <= claim.most)

    def _claims(self) -> Iterator[Claim]:
        before, after = self.before, self.after
        acknowledged, unknown = after.acknowledged - before.acknowledged, after.unknown - before.unknown
        normalized, refused = after.normalized - before.normalized, after.dead_letters - before.dead_letters
        if self._alone("ingress"):
            accepted = self._grown("ingress", "events_accepted")
            yield Claim("events accepted by the ingress", accepted, acknowledged, acknowledged + unknown)
        if self._alone("stream"):
            sent = self._grown("stream", "records_normalized")
            yield Claim("records normalized by the stream", sent, normalized, normalized)
        if self._alone("sink"):
            stored = self._grown("sink", "rows_inserted", "repeats_dropped", "dead_letters")
            least = normalized if self._calm("sink") else 0
            yield Claim("rows, repeats and dead letters of the sink", stored, least, normalized)
        letters = sum(self._grown(name, "dead_letters") for name in ("stream", "sink") if self._alone(name))
        least = refused if self._alone("stream") and self._calm("sink") else 0
        yield Claim("dead letters", letters, least, refused)

    def _alone(self, name: str) -> bool:
        """Whether this process, and no other of its kind, lived through the run."""
        before, after = self.before.lives.get(name), self.after.lives.get(name)
        return before is not None and after is not None and before.identity == after.identity

    def _calm(self, name: str) -> bool:
        """Whether it kept its partitions besides."""
        return self._alone(name) and self.before.lives[name].assignments == self.after.lives[name].assignments

    def _grown(self, name: str, *counters: str) -> int:
        before, after = self.before.lives[name].counters, self.after.lives[name].counters
        return round(sum(after.get(counter, 0) - before.get(counter, 0) for counter in counters))
