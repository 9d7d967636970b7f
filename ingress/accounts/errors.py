"""What a caller of the accounts database may act on, beside `Unavailable`."""

from schemas.errors import PipelineError


class AlreadyExists(PipelineError):
    """There is one of this name."""


class NotFound(PipelineError):
    """There is none of this name, or none that this caller may know of."""


class LastOwner(PipelineError):
    """Nobody would own the team afterwards."""
