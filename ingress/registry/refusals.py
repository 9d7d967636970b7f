"""What the registry refuses, with the error codes that Confluent's clients know.

Source: Confluent, "Schema Registry API Reference".
"""

from collections.abc import Sequence
from enum import IntEnum

from schemas.errors import PipelineError


class Code(IntEnum):
    """The closed list; the first three digits are the HTTP status."""

    UNAUTHORIZED = 40101
    FORBIDDEN = 40301
    SUBJECT_NOT_FOUND = 40401
    VERSION_NOT_FOUND = 40402
    SCHEMA_NOT_FOUND = 40403
    SUBJECT_SOFT_DELETED = 40404
    SUBJECT_NOT_SOFT_DELETED = 40405
    VERSION_SOFT_DELETED = 40406
    VERSION_NOT_SOFT_DELETED = 40407
    NO_COMPATIBILITY = 40408
    NO_MODE = 40409
    INCOMPATIBLE = 409
    INVALID_SCHEMA = 42201
    INVALID_VERSION = 42202
    INVALID_COMPATIBILITY = 42203
    INVALID_MODE = 42204
    NOT_PERMITTED = 42205
    INVALID_SUBJECT = 42208

    @property
    def status(self) -> int:
        """The HTTP status that it comes with."""
        return int(str(self.value)[:3])


class Refused(PipelineError):
    """The registry does not do this.

    Attributes:
        code: why, for programs.
        details: each reason in words, where there are several.
    """

    def __init__(self, code: Code, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.details = tuple(details)


def elsewhere(registry: str | None) -> str:
    """What is said where schemas are not registered here."""
    return f"Schemas are registered at {registry or 'the console'}, with the clients of that registry."


def no_subject(subject: object) -> Refused:
    """There is none, or none that the caller may know of."""
    return Refused(Code.SUBJECT_NOT_FOUND, f"Subject '{subject}' not found.")


def no_schema() -> Refused:
    """There is none."""
    return Refused(Code.SCHEMA_NOT_FOUND, "Schema not found.")
