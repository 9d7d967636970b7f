"""How the fault suite deals with a group that cannot run."""

import pickle

import pytest

from tests.faults.suite import told_in_words


class _Odd(Exception):
    """Cannot be unpickled, like many with more than a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")


def test_error_when_a_group_ends_early() -> None:
    """It says where and why, and another process can take it."""
    with pytest.raises(RuntimeError, match="_Odd: not ready") as failed, told_in_words():
        raise _Odd(9, "not ready")

    assert str(pickle.loads(pickle.dumps(failed.value))) == str(failed.value)  # noqa: S301 - our own
