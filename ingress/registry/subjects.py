"""A subject and its versions, as they are asked for and deleted.  Pure.

A number is never given twice, and a deleted version is kept: the first deletion takes it out of use, the second, which
is permanent, out of the lists of what was deleted.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ingress.registry.levels import Level, Mode
from ingress.registry.refusals import Code, Refused, no_subject
from schemas.registered import Version

LATEST = "latest"
_MAX_DIGITS = 9


class Held(NamedTuple):
    """A version that the registry holds.

    Attributes:
        deleted_at: since when nothing is written by it; None while it is.
        hidden: whether it was deleted permanently.
    """

    version: Version
    registered_at: datetime
    deleted_at: datetime | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class SubjectState:
    """A subject.

    Attributes:
        held: all versions that it ever had, oldest first.
        level: its own compatibility, where it has one.
        mode: its own, where it has one.
    """

    name: str
    held: tuple[Held, ...]
    level: Level | None = None
    mode: Mode | None = None

    @property
    def live(self) -> list[Version]:
        """Its versions that are not deleted, oldest first."""
        return self.listed(deleted=False)

    def listed(self, *, deleted: bool) -> list[Version]:
        """The same, on demand with those that were deleted, but not permanently."""
        return [each.version for each in self.held if not each.hidden and (deleted or not each.version.deleted)]

    def find(self, asked: str, *, deleted: bool = False) -> Version:
        """A version by its number, or the latest one, which is never a deleted one.

        Raises:
            Refused: where there is none.
        """
        listed = self.listed(deleted=deleted)
        if not listed:
            raise no_subject(self.name)
        number = _number(asked)
        if number is None and self.live:
            return self.live[-1]
        for version in listed:
            if version.number == number:
                return version
        raise Refused(Code.VERSION_NOT_FOUND, f"Version {asked} not found.")


def to_delete(state: SubjectState, asked: str | None, *, permanent: bool) -> list[int]:
    """The numbers of the versions that a deletion is for: one, or all where none is asked for.

    Raises:
        Refused: where it is for none, or the first deletion has not been.
    """
    listed = state.listed(deleted=True)
    if not listed:
        raise no_subject(state.name)
    if asked is not None:
        version = state.find(asked, deleted=True)
        if version.deleted and not permanent:
            words = f"Version {asked} of '{state.name}' is deleted; permanent=true takes it out of the lists as well."
            raise Refused(Code.VERSION_SOFT_DELETED, words)
        if permanent and not version.deleted:
            words = f"Version {asked} of '{state.name}' must be deleted without permanent=true first."
            raise Refused(Code.VERSION_NOT_SOFT_DELETED, words)
        return [version.number]
    if permanent:
        if state.live:
            words = f"Subject '{state.name}' must be deleted without permanent=true first."
            raise Refused(Code.SUBJECT_NOT_SOFT_DELETED, words)
        return [version.number for version in listed]
    if not state.live:
        words = f"Subject '{state.name}' is deleted; permanent=true takes it out of the lists as well."
        raise Refused(Code.SUBJECT_SOFT_DELETED, words)
    return [version.number for version in state.live]


def _number(asked: str) -> int | None:
    """The number that is asked for; None for the latest one."""
    if asked in {LATEST, "-1"}:
        return None
    if asked.isascii() and asked.isdigit() and len(asked) <= _MAX_DIGITS and int(asked) > 0:
        return int(asked)
    raise Refused(Code.INVALID_VERSION, f"The version {asked!r} must be a number from 1 on, or {LATEST}.")
