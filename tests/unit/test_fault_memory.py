"""Whether a series of resident sizes counts as bounded."""

import pytest

from tests.faults.memory import MEBIBYTE, unbounded


@pytest.mark.parametrize(
    ("sizes", "verdict"),
    [
        ([100] * 40, None),
        ([60, 80, 100, 110] + [112] * 36, None),
        ([100] * 10 + [130] * 10 + [104] * 20, None),
        ([100] * 20 + [150] * 20, "outgrew"),
        ([100] * 25 + [100 + 2 * place for place in range(15)], "still grows"),
    ],
)
def test_unbounded_when_sizes_move(sizes: list[int], verdict: str | None) -> None:
    """A level is bounded however it was reached; a jump past the allowance and a steady climb are not."""
    said = unbounded([size * MEBIBYTE for size in sizes])

    assert said is None if verdict is None else verdict in str(said)
