"""What a new version must be compatible with.  Pure.

Whatever the level, a column keeps its type: the table of a subject holds what all of its versions wrote.
"""

from collections.abc import Sequence
from enum import StrEnum

from ingress.registry.refusals import Code, Refused
from schemas.compatibility import Direction, problems
from schemas.field_types import TypedSchema


class Level(StrEnum):
    """As Confluent calls them."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def is_transitive(self) -> bool:
        """Whether all versions count, and not the last one alone."""
        return self.endswith("_TRANSITIVE")

    @property
    def direction(self) -> Direction | None:
        """Who has to read what; None for nobody."""
        return None if self is Level.NONE else Direction(self.removesuffix("_TRANSITIVE"))


DEFAULT_LEVEL = Level.FULL_TRANSITIVE


class Mode(StrEnum):
    """Whether a subject takes new versions."""

    READWRITE = "READWRITE"
    READONLY = "READONLY"


def parse_level(word: object) -> Level:
    """A level as a client writes it.

    Raises:
        Refused: where it is none.
    """
    if isinstance(word, str) and word.upper() in set(Level):
        return Level(word.upper())
    raise Refused(Code.INVALID_COMPATIBILITY, f"The compatibility must be one of {', '.join(Level)}.")


def parse_mode(word: object) -> Mode:
    """A mode as a client writes it.

    Raises:
        Refused: where it is none of ours.
    """
    if isinstance(word, str) and word.upper() in set(Mode):
        return Mode(word.upper())
    raise Refused(Code.INVALID_MODE, f"The mode must be one of {', '.join(Mode)}.")


def incompatibilities(new: TypedSchema, older: Sequence[tuple[str, TypedSchema]], level: Level) -> list[str]:
    """Why a new version is not compatible at this level, in words; nothing where it is.

    Args:
        new: the version to be.
        older: those that count, oldest first, each with what to call it.
        level: of the subject.

    Raises:
        SchemaError: where Avro's own package cannot read one of them.
    """
    if level.direction is None or not older:
        return []
    return problems(new, older if level.is_transitive else older[-1:], level.direction)
